"""The structure of a suite as pydantic models: what stands where, of which type, within which limits.

Names of cells, tasks, probes and so on are text here; whether they exist is looked up later, when plugins are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from rnnbench.case import AXES
from rnnbench.errors import nearest
from rnnbench.suite.problems import KeyPath, Problems, several, shown, unknown


class _OrOne:
    """In the JSON Schema, a list of one may be written without its brackets."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        listed = handler(core)
        return {"anyOf": [listed["items"], {**listed, "minItems": 1}]}


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else (value,)


LARGEST = 2**16
"""Of any size: features, sequences in a batch."""
Name = Annotated[str, Field(min_length=1, max_length=200)]
_Dtype = Literal["float32", "float64", "bfloat16", "float16"]
_Steps = Annotated[int, Field(ge=1, le=2**20)]
_Size = Annotated[int, Field(ge=1, le=LARGEST)]
_Count = Annotated[int, Field(ge=1, le=10**8)]
_Depth = Annotated[int, Field(ge=1, le=64)]
_Rate = Annotated[float, Field(ge=0, lt=1)]
_Threads = Annotated[int, Field(ge=1, le=1024)] | None

_LIST = BeforeValidator(_listed)
_OR_ONE = _OrOne()


def _axis(description: str) -> Any:
    return Field(min_length=1, description=description)


_Cells = Annotated[tuple[Name, ...], _LIST, _axis("Cells, spelled `lstm(forget_bias=5)`."), _OR_ONE]
_Backends = Annotated[tuple[Name, ...], _LIST, _axis("Frameworks; by default every one there is."), _OR_ONE]
_Implementations = Annotated[
    tuple[Name, ...],
    _LIST,
    _axis(
        "Ways to run a cell. `auto`: the first of the backend's own order that verifies, the same on every machine; "
        "`best`: the fastest of all that verify, by a short trial on this one."
    ),
    _OR_ONE,
]
_Devices = Annotated[tuple[Name, ...], _LIST, _axis("Devices; absent ones are skipped with a reason."), _OR_ONE]
_Dtypes = Annotated[tuple[_Dtype, ...], _LIST, _axis("Floating-point types."), _OR_ONE]
_SeqLens = Annotated[tuple[_Steps, ...], _LIST, _axis("Time steps of a sequence."), _OR_ONE]
_Batches = Annotated[tuple[_Size, ...], _LIST, _axis("Sequences in a batch."), _OR_ONE]
_Features = Annotated[tuple[_Size, ...], _LIST, _axis("Features; a task sets the input size itself."), _OR_ONE]
_Counts = Annotated[
    tuple[_Count, ...],
    _LIST,
    _axis("Parameters, in place of `hidden_size`: each cell's is solved to have so many, within 2 %."),
    _OR_ONE,
]
_Layers = Annotated[tuple[_Depth, ...], _LIST, _axis("Stacked layers."), _OR_ONE]
_Dropouts = Annotated[tuple[_Rate, ...], _LIST, _axis("Share dropped between layers in training."), _OR_ONE]
_ThreadCounts = Annotated[tuple[_Threads, ...], _LIST, _axis("CPU threads; null: one per physical core."), _OR_ONE]


class _Strict(BaseModel):
    """No coercion, no unknown keys, no NaN: true is not 1, and "64" is not 64."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Axes(_Strict):
    """Some axes of the grid, each one value or a list; `params` is another way to give `hidden_size`."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["hidden_size", "params"]}})

    cell: _Cells = ()
    backend: _Backends = ()
    implementation: _Implementations = ()
    device: _Devices = ()
    dtype: _Dtypes = ()
    seq_len: _SeqLens = ()
    batch_size: _Batches = ()
    hidden_size: _Features = ()
    input_size: _Features = ()
    layers: _Layers = ()
    dropout: _Dropouts = ()
    threads: _ThreadCounts = ()
    params: _Counts = ()

    def given(self) -> dict[str, tuple[Any, ...]]:
        """The axes that are there, in the order of AXES."""
        return {axis: values for axis in AXES if (values := getattr(self, axis))}


class GridPatch(Axes):
    """What a profile may change of the grid."""

    include: list[Axes] = Field(
        default=[], description="Adds cases: each entry is merged over the grid, then its lists multiply."
    )
    exclude: list[Axes] = Field(default=[], description="Drops the cases that match every axis of an entry.")


class Grid(GridPatch):
    """Lists multiply; `include` adds to the product, `exclude` takes away from all of it."""

    cell: _Cells = Field(...)
    seq_len: _SeqLens = Field(...)
    implementation: _Implementations = ("auto",)
    device: _Devices = ("cpu",)
    dtype: _Dtypes = ("float32",)
    batch_size: _Batches = (16,)
    hidden_size: _Features = (128,)
    input_size: _Features = (32,)
    layers: _Layers = (1,)
    dropout: _Dropouts = (0.0,)
    threads: _ThreadCounts = (None,)


class ProbeEntry(BaseModel):
    """One probe: its own settings (see `rnnbench list probes`) and the two below, which any probe may have."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    grid: Axes = Field(default=Axes(), description="Axes this probe runs on instead of the suite's.")
    seeds: int = Field(
        default=0, ge=1, le=1000, description="Independent repetitions: N stands for `replicate: [0, ..., N-1]`."
    )


_Probes = dict[Name, ProbeEntry | None]


FASTEST = "fastest"
"""The reference where none is named: the best row of each column."""


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class _Named:
    """In the JSON Schema, the name may stand alone."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(core)]}


class ExecutorEntry(BaseModel):
    """An executor: its name, and its own options (`rnnbench list executors`)."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    name: Name = Field(default="local", description="Which one.")


class _Common(_Strict):
    """What a suite and its profiles share."""

    description: str = Field(default="", max_length=10_000, description="What it is for.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="Fixes all weights and data.")
    executor: Annotated[ExecutorEntry, BeforeValidator(_named), _Named()] = Field(
        default=ExecutorEntry(), description="How cases are run: a name, or a mapping of `name` and its options."
    )
    timeout: float = Field(default=300.0, gt=0, le=86_400, description="Seconds after which a case is given up.")
    reference: Name = Field(default=FASTEST, description="What tables of ratios call 1: a cell, a program, or both.")


class Profile(_Common):
    """A variant of the suite, merged over it by `--set profile=NAME`."""

    grid: GridPatch = GridPatch()
    probes: _Probes = Field(default={}, description="Settings to change; a probe that is new here is added.")


class Suite(_Common):
    """A rnnbench suite."""

    name: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64, description="Names the folder of the results."
    )
    grid: Grid
    probes: _Probes = Field(min_length=1, description="What is measured: name -> settings, or null for the defaults.")
    plugins: list[Name] = Field(default=[], description="Plugin files, relative to the suite.")
    profiles: dict[Name, Profile] = Field(default={}, description="Variants, chosen by `--set profile=NAME`.")


def validated(data: Mapping[str, Any], problems: Problems) -> Suite:
    """The suite, or a SuiteError with everything that is wrong with its structure."""
    try:
        return Suite.model_validate(data)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            problems.add(detail["loc"], _message(detail))
        problems.stop()
        raise


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a suite, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Suite.model_json_schema()


def _message(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if detail["type"] == "missing":
        return "is missing, and has no default"
    return complaint(detail)


def complaint(detail: ErrorDetails) -> str:
    """Pydantic's message in a suite's words: `found 0; it should be greater than or equal to 1`."""
    found = shown(detail["input"])
    if detail["type"] == "literal_error":
        expected = detail.get("ctx", {})["expected"]
        near = nearest(str(detail["input"])[:200], expected.replace(" or ", ", ").replace("'", "").split(", "))
        return f"found {found}; allowed: {expected}.{several(detail['input']) or near}"
    should = _WORDS.get(detail["type"]) or detail["msg"].partition(" should ")[2] or detail["msg"]
    hint = several(detail["input"])
    return f"found {found}; it should {should}{hint and '.'}{hint}"


_WORDS = {
    "model_type": "be a mapping `key: value`",
    "dict_type": "be a mapping `key: value`",
    "dataclass_type": "be a mapping `key: value`",
    "list_type": "be a list",
    "string_type": "be text (in quotes where it looks like something else)",
    "int_type": "be a whole number",
    "float_type": "be a number",
    "bool_type": "be true or false",
    "string_pattern_mismatch": "be letters, digits, `_`, `-` and `.`, a letter or digit first",
}


def _unknown_key(path: KeyPath) -> str:
    """What may stand where the unknown key stands."""
    key, parents = path[-1], path[:-1]
    if parents[:1] == ("profiles",):
        parents, top = parents[2:], Profile
    else:
        top = Suite
    if parents:
        return unknown("key", key, (GridPatch if parents == ("grid",) else Axes).model_fields)
    if key in Axes.model_fields:
        return f"an axis stands under `grid:`, not here; allowed: {', '.join(top.model_fields)}."
    return unknown("key", key, top.model_fields)
