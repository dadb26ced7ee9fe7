"""What is in deploy/ is what its schemas say, and names only what exists."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from dockerfile_parse import DockerfileParser

from springfield.configuration import variables_of
from springfield.settings.table import Settings

ROOT = Path(__file__).parents[2]
BASE = ROOT / "deploy/kubernetes/base"
OVERLAY = ROOT / "deploy/kubernetes/overlays/stores"
OBJECTS = sorted(each for each in BASE.glob("*.yaml") if each.name != "kustomization.yaml")
OLDEST = "1.31"

SETTINGS = {
    variable
    for name, field in Settings.model_fields.items()
    for variable in variables_of(name, field)
}


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def merged(whole: Any, patch: Any) -> Any:
    """As kustomize does: mappings into each other, containers by name."""
    if isinstance(whole, dict) and isinstance(patch, dict):
        keys = whole | patch
        return {
            key: merged(whole[key], patch[key]) if key in whole and key in patch else keys[key]
            for key in keys
        }
    if isinstance(whole, list) and all("name" in each for each in [*whole, *patch]):
        found = {each["name"]: each for each in whole}
        for each in patch:
            found[each["name"]] = merged(found.get(each["name"], {}), each)
        return list(found.values())
    return patch


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.stem)
def test_a_manifest_is_what_kubernetes_takes(path: Path) -> None:
    kubernetes_validate.validate(loaded(path), OLDEST, strict=True)


@pytest.mark.parametrize("folder", [BASE, OVERLAY], ids=["base", "stores"])
def test_a_kustomization_names_files_that_exist_and_all_of_them(folder: Path) -> None:
    kustomization = loaded(folder / "kustomization.yaml")
    patches = [patch["path"] for patch in kustomization.get("patches", [])]
    named = [*kustomization["resources"], *patches]
    assert all((folder / each).exists() for each in named)
    there = {each.name for each in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert there == {each for each in named if each.endswith(".yaml")}


def test_the_patched_deployment_is_what_kubernetes_takes() -> None:
    deployment = loaded(BASE / "deployment.yaml")
    for patch in loaded(OVERLAY / "kustomization.yaml")["patches"]:
        deployment = merged(deployment, loaded(OVERLAY / patch["path"]))
    kubernetes_validate.validate(deployment, OLDEST, strict=True)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "springfield"
    assert container["envFrom"]
    assert deployment["spec"]["replicas"] == 3


def test_the_probes_ask_the_admin_port_and_the_pod_may_do_nothing_else() -> None:
    deployment = loaded(BASE / "deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    asked = {
        name: container[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")
    }
    assert asked == {
        "startup": {"path": "/livez", "port": "admin"},
        "liveness": {"path": "/livez", "port": "admin"},
        "readiness": {"path": "/readyz", "port": "admin"},
    }
    environment = {each["name"]: each["value"] for each in container["env"]}
    assert set(environment) <= SETTINGS
    seconds = float(environment["SPRINGFIELD_DRAIN_DELAY"]) + Settings().shutdown_timeout
    assert pod["terminationGracePeriodSeconds"] > seconds
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_compose_file_is_what_its_schema_says() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec",
         str(ROOT / "deploy/compose/compose.yaml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_container_file_copies_what_exists_and_sets_what_is_known() -> None:
    text = (ROOT / "deploy/container/Containerfile").read_bytes()
    parser = DockerfileParser(fileobj=io.BytesIO(text))
    stages: list[list[dict[str, str]]] = []
    for step in parser.structure:
        if step["instruction"] == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(step)
    let_in = (ROOT / ".dockerignore").read_text()
    for step in stages[0]:
        if step["instruction"] == "COPY":
            for source in step["value"].split()[:-1]:
                assert (ROOT / source).exists()
                assert f"!{source.split('/')[0]}\n" in let_in
    final = {step["instruction"]: step["value"] for step in stages[-1]}
    assert final["USER"] == "10001:10001"
    assert set(re.findall(r"SPRINGFIELD_\w+", final["ENV"])) <= SETTINGS
    assert final["EXPOSE"] == "8000 9000"
    assert "--url" in final["HEALTHCHECK"]
