"""In charge of what a new worker starts with: what is in force, not what the first workers were given.

The supervisor keeps it and a fork inherits it, so that a worker can be replaced whatever is in the
files by then.
"""

import logging
from dataclasses import replace

from springfield.observability.logs import set_level
from springfield.server.news import DRAINING, LOG_LEVEL, RELOADED
from springfield.server.reload import differences
from springfield.server.serving import Plan
from springfield.server.tls import BadCertificate
from springfield.settings.mistakes import InvalidSettings

log = logging.getLogger("springfield.server")


class InForce:
    """The plan that workers are started with, as it is by now.

    The supervisor reads the files itself, a moment after the worker: what is sent through the pipe
    is a word, never a secret. The log says when it has.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def heed(self, news: str) -> None:
        """Take what a worker tells (see `news`); a switch in one is meant for all."""
        match news.split():
            case [word] if word == RELOADED:
                self._reload()
            case [word, state] if word == DRAINING:
                self.plan = replace(self.plan, is_draining=state == "on")
            case [word, level] if word == LOG_LEVEL:
                set_level(level)
                self.plan = replace(self.plan, log_level=level)

    def _reload(self) -> None:
        """Read settings and certificate as the workers did: all that is good, or nothing."""
        try:
            fresh = self.plan.load()
            certificate = self.plan.certificate
            has_new_certificate = certificate is not None and certificate.reload()
        except InvalidSettings as error:
            mistakes = error.mistakes
        except BadCertificate as error:
            mistakes = [str(error)]
        else:
            changed, _ = differences(self.plan.loaded.settings, fresh.settings)
            self.plan = replace(self.plan, loaded=self.plan.loaded.taking(fresh, changed))
            if changed or has_new_certificate:  # every worker tells of the same reload
                log.info("a worker that is replaced gets what was reloaded")
            return
        for mistake in mistakes:
            log.error("a worker that is replaced gets the old settings: %s", mistake)
