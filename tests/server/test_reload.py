"""What is marked reloadable, and what is made of it."""

from contextlib import AsyncExitStack
from pathlib import Path

from springfield.assembly import assemble
from springfield.configuration import load_settings
from springfield.observability.telemetry import observing
from springfield.server.operations import Operations
from springfield.server.reload import Reloading
from springfield.server.serving import POLICIES, tunables
from springfield.settings.fields import is_reloadable
from springfield.settings.table import Settings
from springfield.web.admission import Admission
from springfield.web.routes import make_app

RELOADABLE = {name for name, field in Settings.model_fields.items() if is_reloadable(field)}


def test_a_reloadable_setting_says_so_and_no_other_does() -> None:
    saying = {
        name
        for name, field in Settings.model_fields.items()
        if (field.description or "").endswith("Reloadable.")
    }
    assert saying == RELOADABLE


async def test_somebody_takes_every_reloadable_setting(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    loaded = load_settings({"data_dir": str(tmp_path / "data")}, None)
    reloading = Reloading(loaded, lambda: loaded)
    async with AsyncExitStack() as stack:
        telemetry = stack.enter_context(observing(1.0, 1.0))
        Operations(reloading, telemetry, lambda: False)
        service = await stack.enter_async_context(assemble(loaded.settings, telemetry))
        app = make_app(service)
        admission = Admission(app, service.traffic, service.events, loaded.settings.max_requests)
        reloading.tell(tunables(service, app, admission, telemetry))
        reloading.tell(dict.fromkeys(POLICIES, lambda _: None))
        assert set(reloading.taken) == RELOADABLE
