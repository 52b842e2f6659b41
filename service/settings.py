"""Every setting, read from the environment once. The only module that reads it.

`OWNHAND_<FIELD>` sets a field; `OWNHAND_<FIELD>_FILE` names a file that holds the value (for secrets).
`configs/example.env` shows them all.
"""

import difflib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from email.headerregistry import Address
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from service.logs import LOG_FORMATS
from service.mail_server import MailServer, read_sender, read_server

PREFIX = "OWNHAND_"
MAX_PORT = 65_535
KEPT_DAYS_MAX = 365
ENGINES = ("here", "ray")
"""Values of `Settings.engine`."""
LINK_S_MAX = 60
_MAY_BE_NONE_AT_ALL = {"num_threads", "link_s", "ray_gpus", "ray_replicas_max"}
"""Numbers that may be 0."""
ROOT = Path(__file__).resolve().parent.parent
"""The folder of the rooms: where `python -m training.run` is found."""


WORK = ("pictures", "trainings", "reviews")
"""Kinds of work for workers: orders and tries; trainings, how fast a machine trains, self tests; looks at portfolios,
descriptions and searches by a picture."""

SIGN_UP_ROLES: Mapping[str, tuple[Literal["creator", "client"], ...]] = {
    "invitation": (),
    "clients": ("client",),
    "everyone": ("creator", "client"),
}
"""Roles of accounts that people may make for themselves, by `Settings.sign_up`."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What one process needs to know. Paths are absolute."""

    home: Path = Path(".ownhand")
    """Holds everything the embedded default writes."""
    backup_keys: Path | None = None
    """The folder of the keys that decrypt backups (`service.backups`), best on a disk of its own. Without one, it is
    `home/backup-keys`."""
    configs: Path = ROOT / "configs"
    """Bases, recipes, prices and the demonstration."""
    database_url: str | None = None
    """A PostgreSQL server; without one, the embedded database under `home`."""
    storage_url: str | None = None
    """`file:/a/folder` or `s3://bucket/prefix?endpoint=...`; without one, `home/objects`."""
    link_s: int = 0
    """For how many seconds a link to a sold picture works that leads to the bucket itself, 60 at most; 0: there is none
    and the web process sends it. A folder has no links."""
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    """The address people see; links, cookies and the Origin check follow it. Default: host and port."""
    default_base: str = "openicons"
    """What a new style is trained over where its creator names nothing else; an id in `configs/bases`."""
    operator_name: str = "Ownhand"
    """Who runs this place, as pages and licences say it."""
    pepper: str | None = None
    """The secret under which tokens are hashed and secrets of webhooks kept. Without one it is made in `home/keys` at
    first start."""
    supervised: bool = False
    """Set by `ownhand serve` for its children: end when standard input closes."""
    log_level: str = "INFO"
    log_format: str = "text"
    """How lines of the log are written: `text`, or `json` for a collector."""
    traces_url: str | None = None
    """Where spans are sent (`http://collector:4318/v1/traces`, OTLP over HTTP); nothing is traced without one."""
    sign_in_link_minutes: int = 60
    session_days: int = 30
    sign_up: str = "invitation"
    """Who may make an account without being invited, a name in SIGN_UP_ROLES: nobody (`invitation`), `clients`, or
    `everyone` (creators as well)."""
    operators_need_second_factor: bool = False
    """Whether the office opens only to operators with a second factor, who are asked for it at links, too."""
    max_body_bytes: int = 1024**2
    """A request body where nothing larger is expected."""
    max_image_body_bytes: int = 32 * 1024**2
    """A body that carries one picture: `/v1/images`, `/v1/verify`, a generation with a data URL."""
    max_upload_body_bytes: int = 1024**3
    """One upload of works, all its files together."""
    max_files_per_upload: int = 500
    max_works_per_style: int = 500
    consent_days: int = 30
    """How long a link that asks somebody for consent can be answered. A yes can be taken back by it for ever."""
    tries_per_day: int = 50
    """Pictures that a creator may have drawn of own versions within a day, for nothing."""
    try_days: int = 7
    """How long such pictures and their words are kept."""
    upload_days: int = 7
    """How long an upload that nobody goes on with may be gone on with."""
    num_database_connections: int = 10
    """The pool of one process."""
    num_workflow_connections: int = 10
    """The workflow engine's own pool in each process. `service.db.connections.most_connections` adds up."""
    database_wait_s: float = 5.0
    """How long a request waits for a connection to the database."""
    statement_s: float = 15.0
    """How long one statement of a request may take. Stories, sweeps and workers have no such time."""
    idle_transaction_s: float = 60.0
    """A transaction in which nothing happens for this long is ended by the server, with its connection."""
    trainer: str = ""
    """The trainer's command, for one that lives in an environment of its own. Default: this one's `training.run`."""
    reviewer: str = ""
    """The command that looks at portfolios. Default: this environment's `training.review`."""
    prober: str = ""
    """The command that measures how fast a machine trains. Default: this environment's `training.probe`."""
    describer: str = ""
    """The command that suggests words for works. Default: this environment's `training.description`."""
    captioner: str = ""
    """The captioning model it asks: a folder, or the hub's id of one that was downloaded. Empty: no suggestions."""
    max_training_minutes: float = 480
    """How long a training's own work may take at most; its creator may allow less."""
    trainings_together: int = 4
    """Trainings of one base and recipe that one trainer takes together, in one batch; 1: one after another."""
    takes: str = ""
    """What a worker takes, names of WORK with commas: `pictures, trainings` on machines with a GPU, `reviews` on one
    without. Empty: all of it."""
    device: str = "auto"
    """Where a worker and its trainer compute: `cpu`, `cuda`, `cuda:1`; `auto` takes a GPU if there is one."""
    max_rows: int = 8
    """Pictures that one worker draws at once with one base."""
    engine: str = "here"
    """Where a worker draws: `here`, in its own process, or on a `ray` cluster (`service.fleet`)."""
    ray_address: str = "auto"
    """The cluster, `host:6379`; `auto` takes the one that this machine is part of."""
    ray_replicas: int = 1
    """GPUs of the cluster that one worker draws on, at least."""
    ray_replicas_max: int = 0
    """At most, where much waits; 0: never more than `ray_replicas`."""
    ray_within_s: float = 60.0
    """Replicas are added until what waits would be drawn within so many seconds."""
    ray_gpus: float = 1.0
    """Of one replica, also a part of one; 0 for clusters without."""
    ray_cpus: float = 1.0
    """Of one replica."""
    keep_every_s: float = 2.0
    """How often a worker stores where its pictures stand: what its death costs them, beside the step they were in."""
    adapter_disk_mib: int = 2048
    """Adapters' files that a worker keeps on its disk."""
    adapter_host_mib: int = 512
    """Adapters that one engine keeps in memory; on a CPU those it draws with lie there too."""
    adapter_device_mib: int = 1024
    """The same on a GPU, of its own memory."""
    content_checker: str = ""
    """What judges what pictures show, a name in `inference.checkers.CHECKERS`. Empty: nothing does."""
    watermark: str = ""
    """The invisible mark that pictures get before they are sealed, a name in `licensing.watermarks.WATERMARKS`. Empty:
    none."""
    num_threads: int = 0
    """Threads of one computing process; 0 leaves it to torch."""
    poll_interval_s: float = 0.1
    """How often a process looks for work while there is some, and a story for its child's end."""
    executor_silence_s: float = 15.0
    """A process that has not been heard of for this long has lost its work to the others."""
    hold_s: int = 900
    """How long money stays held for an order that nobody works on; the web role renews it while somebody does."""
    max_order_hours: int = 6
    """An order that is not drawn by then is dropped without a charge."""
    approval_hours: int = 48
    """How long pictures wait for a creator who looks first; then their order expires without a charge."""
    trusted_after_pictures: int = 3
    """So many approved pictures make a client known to a creator who looks at those of new clients."""
    max_open_orders: int = 200
    """Orders that may wait or run at once. One more is told to come back later, unless its client has less than an
    equal share of them."""
    event_days: int = 30
    """How long the steps of orders and trainings that ended are kept, as their event streams tell them, and what was
    sent to webhooks."""
    prompt_days: int = 30
    """How long after the end of an order its prompt is kept, 1 to 365 days. Not less than `workflow_days`."""
    image_days: int = 30
    """How long pictures and masks that clients bring are kept after they were last used, 1 to 365 days."""
    workflow_days: int = 7
    """How long the workflow engine remembers stories that ended. More than an order may take."""
    requests_per_minute: int = 1200
    """Calls of one key, or of one address without a key, to one web process."""
    forms_per_minute: int = 120
    """Forms that one account, or one address of strangers, may send to one web process."""
    sign_ins_per_minute: int = 20
    """Sign-in links, and tokens that are none, that one address may try at one web process."""
    webhook_networks: str = ""
    """Networks beside the public internet that clients' webhooks may lead to, with commas: `10.1.0.0/16, fd00::/8`."""
    smtp_url: str | None = None
    """The server that e-mail is handed to, `smtp://user:password@host:587` or `smtps://`. Without one, the inbox and
    the office show what people are told."""
    mail_from: str = ""
    """From whom e-mail comes, `Name <name@example.org>`; needed with `smtp_url`."""
    checks_per_minute: int = 60
    """Files that one account, or one address of strangers, may have judged by one web process."""
    searches_per_minute: int = 12
    """Pictures that one account, or one address of strangers, may look for a style with at one web process."""
    payments: str = "manual"
    """Who takes payments: `manual` (bank transfers) or `stripe`."""
    stripe_api_key: str | None = None
    stripe_webhook_secrets: str | None = None
    """Of the endpoint that Stripe sends events to, several separated by commas while one is replaced."""
    stripe_base_url: str = "https://api.stripe.com"
    review_wait_s: float = 5.0
    """How long `GET /v1/styles/{id}/review` waits for a look at the works as they are now."""
    crash_at: str | None = None
    """Tests only: the process kills itself when its story reaches this point."""
    movable_clock: bool = False
    """Tests only: every process goes by a clock that a file in `home` moves. `service.clock` says what refuses it."""

    def __post_init__(self) -> None:
        for name in sorted({field.name for field in fields(self)} - _MAY_BE_NONE_AT_ALL):
            value = getattr(self, name)
            if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
                raise ValueError(f"{PREFIX}{name.upper()} is {value}; it must be above 0")
        if self.workflow_days * 24 <= self.max_order_hours:
            raise ValueError(
                f"{PREFIX}WORKFLOW_DAYS is {self.workflow_days} and {PREFIX}MAX_ORDER_HOURS {self.max_order_hours};"
                " a story must be remembered for longer than its order may take"
            )
        for name in ("prompt_days", "image_days"):
            if getattr(self, name) > KEPT_DAYS_MAX:
                raise ValueError(
                    f"{PREFIX}{name.upper()} is {getattr(self, name)}; what clients bring is kept for at most"
                    f" {KEPT_DAYS_MAX} days"
                )
        if self.prompt_days < self.workflow_days:
            raise ValueError(
                f"{PREFIX}PROMPT_DAYS is {self.prompt_days} and {PREFIX}WORKFLOW_DAYS {self.workflow_days};"
                " stories name prompts, so they must be forgotten first"
            )
        if not 0 <= self.link_s <= LINK_S_MAX:
            raise ValueError(
                f"{PREFIX}LINK_S is {self.link_s}; a link that nobody can take back works for at most {LINK_S_MAX}"
                " seconds, and 0 makes none"
            )
        if self.port > MAX_PORT:
            raise ValueError(f"{PREFIX}PORT is {self.port}; ports end at {MAX_PORT}")
        if self.sign_up not in SIGN_UP_ROLES:
            raise ValueError(f"{PREFIX}SIGN_UP is {self.sign_up!r}; write one of {', '.join(SIGN_UP_ROLES)}")
        if self.engine not in ENGINES:
            raise ValueError(f"{PREFIX}ENGINE is {self.engine!r}; write one of {', '.join(ENGINES)}")
        for name in ("ray_gpus", "ray_replicas_max"):
            if getattr(self, name) < 0:
                raise ValueError(f"{PREFIX}{name.upper()} is {getattr(self, name)}; it must be 0 or above")
        if self.log_format not in LOG_FORMATS:
            raise ValueError(f"{PREFIX}LOG_FORMAT is {self.log_format!r}; write one of {', '.join(LOG_FORMATS)}")
        # Read already here, so that a typo is met at the start.
        _ = self.webhook_targets, self.mail_server, self.mail_sender, self.taken_work

    @property
    def backup_keys_folder(self) -> Path:
        """Where the keys that decrypt backups lie."""
        return self.backup_keys or self.home / "backup-keys"

    @property
    def origin(self) -> str:
        """Scheme, host and port people reach this place at, without a slash at the end."""
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def webhook_targets(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """`webhook_networks`, read. Raises ValueError for what is no network."""
        names = [name.strip() for name in self.webhook_networks.split(",") if name.strip()]
        try:
            return tuple(ipaddress.ip_network(name) for name in names)
        except ValueError as error:
            raise ValueError(f"{PREFIX}WEBHOOK_NETWORKS: {error}; write networks like 10.1.0.0/16") from error

    @property
    def taken_work(self) -> tuple[str, ...]:
        """`takes`, read; all of WORK where it says nothing. Raises ValueError for a name that is none."""
        names = [name.strip() for name in self.takes.split(",") if name.strip()]
        for name in names:
            if name not in WORK:
                raise ValueError(f"{PREFIX}TAKES names {name!r}; write some of {', '.join(WORK)}")
        return tuple(name for name in WORK if not names or name in names)

    @property
    def mail_server(self) -> MailServer | None:
        """`smtp_url`, read; None where nothing sends e-mail. Raises ValueError."""
        if self.smtp_url is None:
            return None
        try:
            return read_server(self.smtp_url)
        except ValueError as error:
            raise ValueError(f"{PREFIX}SMTP_URL: {error}") from None

    @property
    def mail_sender(self) -> Address | None:
        """`mail_from`, read; None where nothing sends e-mail. Raises ValueError."""
        if self.smtp_url is None:
            return None
        try:
            return read_sender(self.mail_from)
        except ValueError as error:
            raise ValueError(f"{PREFIX}MAIL_FROM: {error}") from error

    @property
    def is_secure(self) -> bool:
        """True where people come by TLS: cookies are then for TLS alone."""
        return self.origin.startswith("https://")


def read_settings(environ: Mapping[str, str] | None = None, **given: Any) -> Settings:
    """Settings from the environment; what the command line gave (`given`, None left out) wins.

    Raises ValueError for an unknown `OWNHAND_` name or a value of the wrong kind.
    """
    source = os.environ if environ is None else environ
    kinds = get_type_hints(Settings)
    names = {PREFIX + field.name.upper(): field.name for field in fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in source.items():
        if not name.startswith(PREFIX) or not text:
            continue
        plain = name.removesuffix("_FILE")
        if plain not in names:
            raise ValueError(_unknown(name, list(names)))
        value = Path(text).read_text().strip() if name != plain else text
        values[names[plain]] = _parse(name, value, kinds[names[plain]])
    values |= {name: value for name, value in given.items() if value is not None}
    settings = Settings(**values)
    folders = {name: getattr(settings, name) for name in ("home", "configs", "backup_keys")}
    changed = {name: folder.expanduser().resolve() for name, folder in folders.items() if folder is not None}
    return Settings(**{**values, **changed})


def to_environ(settings: Settings) -> dict[str, str]:
    """The environment that makes a child process read these settings."""
    found = {PREFIX + field.name.upper(): getattr(settings, field.name) for field in fields(Settings)}
    return {name: str(value) for name, value in found.items() if value is not None}


def plain_environ() -> dict[str, str]:
    """This process's environment without our settings: for children that are to know nothing of the database."""
    return {name: text for name, text in os.environ.items() if not name.startswith(PREFIX)}


def _parse(name: str, text: str, kind: Any) -> Any:
    plain = next((part for part in get_args(kind) if part is not type(None)), kind)
    if plain is bool:
        if text.lower() not in ("1", "0", "true", "false"):
            raise ValueError(f"{name} is {text!r}; write true or false")
        return text.lower() in ("1", "true")
    try:
        return plain(text)
    except ValueError as error:
        raise ValueError(f"{name} is {text!r}; it must be a {plain.__name__}") from error


def _unknown(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"{name} is no setting; " + (f"did you mean {near[0]}?" if near else "configs/example.env lists them all")
