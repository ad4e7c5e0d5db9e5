"""Every setting of the system, parsed and validated once at the start of a process.

Sources, first wins: the process environment, the env file (`NSELF_ENV_FILE`, default `./.env`), the embedded stack's
`stack.env`. Nothing else in the code reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from billing_worker.kernel.errors import InvalidValueError
from billing_worker.runtime.sources import read_sources
from billing_worker.runtime.values import (
    ApiKey,
    CommaList,
    Duration,
    Sender,
    Size,
    Zone,
    parse_duration,
    parse_size,
    parse_zone,
    read_api_keys,
)

CORRECTNESS_SWITCHES = (
    "webhook_idempotency_enabled",
    "webhook_async_processing",
    "webhook_use_queue",
    "webhook_sequential_per_object",
    "webhook_track_versions",
    "webhook_use_locks",
)
"""Known names whose only safe value is true: turning one off is refused with the reason."""


class Settings(BaseModel):
    """All settings; the environment name of a field is its name in capitals."""

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        arbitrary_types_allowed=True,
        alias_generator=AliasGenerator(validation_alias=str.upper),
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    # where things are
    nself_home: Path = Field(Path(".nself"), description="folder of the embedded stack's data, logs and state")
    nself_embedded: str = Field("", description="1, or the parts to embed: postgres,redis,stripe")
    nself_env_file: Path = Field(Path(".env"), description="the env file that `nself env set` writes")
    database_url: SecretStr = Field(SecretStr(""), description="PostgreSQL, possibly through pgbouncer")
    database_direct_url: SecretStr = Field(SecretStr(""), description="PostgreSQL without pooler, for migrations")
    redis_url: SecretStr = Field(SecretStr(""), description="Redis: cache, fast path and default broker")
    billing_broker_url: SecretStr = Field(SecretStr(""), description="Celery broker if not Redis, e.g. amqp://…")
    billing_log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="log level")
    billing_log_dir: Path | None = Field(None, description="folder for JSON log files")
    billing_timezone: Zone = Field(parse_zone("UTC"), description="zone whose midnights cut days and months")

    # Stripe
    stripe_secret_key: SecretStr = Field(SecretStr(""), description="sk_test_… or sk_live_…")
    stripe_publishable_key: str = Field("", description="pk_test_… or pk_live_…")
    stripe_webhook_secret: SecretStr = Field(SecretStr(""), description="whsec_…, several separated by commas")
    stripe_mode: Literal["test", "live"] = Field("test", description="the mode the keys must have")
    stripe_api_base: str = Field("https://api.stripe.com", description="address of the Stripe API")
    stripe_mock_enabled: bool = Field(False, description="use the embedded sandbox as Stripe")
    stripe_max_retries: int = Field(3, ge=0, le=10, description="retries of one Stripe call")
    stripe_retry_backoff: Literal["exponential", "fixed"] = Field("exponential", description="growth of the waits")
    stripe_enable_cache: bool = Field(False, description="cache reads from Stripe")
    stripe_cache_ttl: Duration = Field(parse_duration("300"), description="age of a cached read at most")
    stripe_rate_limit_buffer: float = Field(0.8, gt=0, le=1, description="share of Stripe's rate limit to use")
    stripe_rate_limit: int = Field(
        0, ge=0, le=100_000, description="calls per second Stripe allows; 0: its own, 100 in live and 25 in test mode"
    )
    http_proxy: str = Field("", description="proxy for calls to Stripe over http, e.g. http://proxy.example.com:8080")
    https_proxy: str = Field("", description="proxy for calls to Stripe over https; HTTP_PROXY where it is empty")
    no_proxy: str = Field("", description="hosts called without a proxy, separated by commas")
    stripe_batch_requests: bool = Field(True, description="read pages of 100 instead of single objects")
    stripe_proration_behavior: Literal["create_prorations", "none", "always_invoice"] = Field(
        "create_prorations", description="proration of subscription changes"
    )
    stripe_tax_calculation: Literal["automatic", "manual", "none"] = Field("none", description="who computes tax")
    stripe_enable_ip_whitelist: bool = Field(False, description="accept deliveries from Stripe's addresses only")
    stripe_require_2fa: bool = Field(False, description="remind operators that the Stripe account needs 2FA")
    api_timeout: Duration = Field(parse_duration("30s"), description="read timeout of a Stripe call")

    # receiver
    billing_receiver_host: str = Field("127.0.0.1", description="address the receiver binds")
    billing_receiver_port: int = Field(8080, ge=1, le=65535, description="port the receiver binds")
    billing_trusted_hops: int = Field(
        0, ge=0, le=10, description="proxies before the receiver that append to X-Forwarded-For; 0 ignores the header"
    )
    webhook_timeout: Duration = Field(parse_duration("5s"), description="longest wait for a delivery's commit")
    billing_payload_retention: Duration = Field(
        parse_duration("90d"), description="age at which months of event bodies go, at least 35d; baselines stay"
    )
    webhook_idempotency_enabled: bool = True
    webhook_async_processing: bool = True
    webhook_use_queue: bool = True
    webhook_sequential_per_object: bool = True
    webhook_track_versions: bool = True
    webhook_use_locks: bool = True

    # workers
    billing_webhook_queues: int = Field(4, ge=1, le=64, description="queues the 64 lanes are spread over")
    billing_webhook_batch_size: int = Field(500, ge=1, le=5000, description="events applied per transaction at most")
    billing_memory_limit: Size = Field(parse_size("1G"), description="a worker child above this is replaced")
    billing_db_pool_size: int = Field(5, ge=1, le=100, description="database connections per process")
    billing_db_pool_timeout: Duration = Field(parse_duration("30s"), description="wait for a pooled connection")
    db_query_timeout: Duration = Field(parse_duration("30s"), description="statement timeout of services")
    billing_async_operations: bool = Field(True, description="long operations run in workers")
    billing_use_queue: bool = Field(True, description="operations are rows before they run")
    billing_cache_enabled: bool = Field(False, description="cache reads of the mirror")
    billing_cache_ttl: Duration = Field(parse_duration("300"), description="age of a cached read at most")

    # money
    billing_safe_mode: bool = Field(False, description="first value of the safe-mode switch")
    billing_auto_payment: bool = Field(True, description="first value of the automatic-collection switch")
    billing_collector: Literal["stripe", "nself"] = Field("stripe", description="who retries failed payments")
    billing_queue_payments: bool = Field(False, description="store payments until `process-queue`")
    billing_graceful_degradation: bool = Field(False, description="read from the mirror when Stripe is away")
    billing_minimum_charge: int = Field(
        50, ge=0, description="overage of a customer is carried until so many minor units are owed"
    )
    billing_overage_file: Path | None = Field(None, description="YAML of overage prices that Stripe does not have")
    billing_payment_retry_days: CommaList = Field(("1", "3", "5", "7"), description="days from a decline to each retry")

    # reconciliation
    billing_auto_sync: bool = Field(True, description="reconcile on a schedule")
    billing_sync_interval: Duration = Field(parse_duration("1h"), description="time between reconciliations")

    # usage and quotas: the HTTP API
    billing_api_host: str = Field("127.0.0.1", description="address the usage and quota API binds")
    billing_api_port: int = Field(8090, ge=1, le=65535, description="port the usage and quota API binds")
    billing_api_threads: int = Field(16, ge=1, le=512, description="API requests handled at the same time")
    billing_api_timeout: Duration = Field(parse_duration("5s"), description="longest wait for a record's commit")
    billing_api_keys: SecretStr = Field(
        SecretStr(""), description="keys of the API, several separated by commas, `name:key` names the caller"
    )

    # usage and quotas
    usage_allow_keyless: bool = Field(
        False, description="accept API and task records without idempotency key: a retry counts them again"
    )
    usage_unknown: Literal["refuse", "hold"] = Field(
        "refuse", description="usage of an unknown user or metric: refuse it, or hold it until both are known"
    )
    usage_aggregation_interval: Duration = Field(
        parse_duration("1m"), description="longest time until rollups are exact"
    )
    usage_aggregation_parallel: bool = Field(False, description="let several workers aggregate a backlog")
    usage_aggregation_workers: int = Field(1, ge=1, le=32, description="how many of them")
    usage_enable_buffer: bool = Field(
        False, description="take usage of the API into Redis first, answered 202: what Redis itself loses is lost"
    )
    usage_buffer_size: int = Field(10000, ge=1, description="records the buffer holds at most")
    usage_archive_s3: str = Field("", description="where archived usage goes with --to-s3: s3://bucket/prefix")
    usage_archive_s3_endpoint: str = Field("", description="address of an S3 of your own; empty: Amazon's")
    quota_enforcement_enabled: bool = Field(True, description="hard quotas block their users")

    # mail and PDF
    mail_enabled: bool = Field(False, description="send mail; off: messages end as suppressed")
    mail_from: Sender = Field("", description="sender, `billing@example.com` or `Example <billing@example.com>`")
    mail_host: str = Field("localhost", description="SMTP server")
    mail_port: int = Field(25, ge=1, le=65535, description="SMTP port")
    mail_username: str = Field("", description="SMTP user, none if empty")
    mail_password: SecretStr = Field(SecretStr(""), description="SMTP password")
    mail_starttls: bool = Field(False, description="upgrade the SMTP connection to TLS")
    mail_tls: bool = Field(False, description="speak TLS from the first byte (port 465); not with MAIL_STARTTLS")
    mail_recipient_limit: int = Field(
        20, ge=0, le=10_000, description="messages per recipient and hour, 0: any number; what is beyond waits"
    )
    mail_timeout: Duration = Field(parse_duration("10s"), description="longest wait for one answer of the SMTP server")
    mail_resend_unknown: bool = Field(
        True, description="send once more, under the same Message-ID, what may have been sent or not"
    )
    pdf_memory_limit: Size = Field(
        parse_size("512M"), ge=parse_size("128M"), description="memory of the process that renders one PDF, at most"
    )
    pdf_timeout: Duration = Field(
        parse_duration("30s"), le=parse_duration("4m"), description="time for rendering one PDF, at most 4m"
    )
    pdf_template_dir: Path | None = Field(None, description="folder of an own `invoice.typ`, and of `logo.svg`")
    pdf_font_dir: Path | None = Field(None, description="folder of fonts that invoices use first")
    pdf_issuer: str = Field(
        "", description="own name and address on invoices, lines separated by |; Stripe's account name where empty"
    )

    # Flower
    flower_port: int = Field(5555, ge=1, le=65535, description="port Flower binds on loopback")
    flower_basic_auth: SecretStr = Field(SecretStr(""), description="user:password of Flower")

    @field_validator(*CORRECTNESS_SWITCHES)
    @classmethod
    def _correctness_stays_on(cls, value: bool) -> bool:  # noqa: FBT001 - pydantic's calling convention
        if not value:
            raise ValueError("cannot be turned off: without it events are lost, doubled or reordered; write true")
        return value

    @field_validator("billing_payload_retention")
    @classmethod
    def _late_events_find_their_second(cls, value: timedelta) -> timedelta:
        # Stripe lists events for 30 days: what arrives late must be ordered among the bodies of its own second.
        if value < timedelta(days=35):
            raise ValueError("events can arrive 30 days late and need their neighbours' bodies; write 35d or more")
        return value

    @field_validator("billing_api_keys")
    @classmethod
    def _api_keys_are_long(cls, value: SecretStr) -> SecretStr:
        read_api_keys(value.get_secret_value())
        return value

    @field_validator("stripe_secret_key", "stripe_webhook_secret", "database_url", "redis_url")
    @classmethod
    def _no_white_space(cls, value: SecretStr) -> SecretStr:
        if any(character.isspace() for character in value.get_secret_value()):
            raise ValueError("contains white space; copy it again without blanks or line ends")
        return value

    @model_validator(mode="after")
    def _key_fits_mode(self) -> Settings:
        key = self.stripe_secret_key.get_secret_value()
        for mode in ("test", "live"):
            if key.startswith((f"sk_{mode}_", f"rk_{mode}_")) and self.stripe_mode != mode:
                raise ValueError(
                    f"STRIPE_SECRET_KEY is a {mode} key but STRIPE_MODE={self.stripe_mode}: "
                    f"use a {self.stripe_mode} key or set STRIPE_MODE={mode}"
                )
        return self

    @model_validator(mode="after")
    def _one_way_to_tls(self) -> Settings:
        if self.mail_tls and self.mail_starttls:
            raise ValueError("MAIL_TLS and MAIL_STARTTLS exclude each other: port 465 speaks TLS, 587 upgrades to it")
        return self

    @property
    def livemode(self) -> bool:
        """Say whether this installation handles real money."""
        return self.stripe_mode == "live"

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """Return every active signing secret."""
        return tuple(part for part in self.stripe_webhook_secret.get_secret_value().split(",") if part)

    @property
    def api_keys(self) -> tuple[ApiKey, ...]:
        """Return who may call the API, keys as digests."""
        return read_api_keys(self.billing_api_keys.get_secret_value())

    @property
    def broker_url(self) -> str:
        """Return the broker's URL: an own one, or Redis."""
        return self.billing_broker_url.get_secret_value() or self.redis_url.get_secret_value()


def read_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Merge the sources into one mapping of names in capitals to raw values; empty values count as absent."""
    return read_sources(os.environ if environ is None else environ).merged


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Build the settings of this process.

    Raises: InvalidValueError naming every setting that cannot work, never showing its value.
    """
    try:
        return Settings.model_validate(read_environment(environ))
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'settings'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise InvalidValueError(f"settings cannot work: {problems}") from None
