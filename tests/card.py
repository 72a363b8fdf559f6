"""A card that is not there: its tensors say that they lie on it, and compute on the CPU.

As on a real one an operation of the card's tensors and the host's fails, but for what torch allows:
copies, numbers, indices. So a job that runs here leaves nothing behind on the host, on a machine
without a GPU. How fast a card is, what fits into it, what its streams do and what its kernels round
to is not shown, and `tensor.data = other` cannot change devices here, which is how networks take
turns.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

aten = torch.ops.aten
_FILL = (aten.copy_.default, aten.index_put_.default, aten._index_put_impl_.default)
_MIX = (aten._to_copy.default, aten.index.Tensor, *_FILL)
_COUNTED = (
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.repeat_interleave.Tensor,
)
"""The host waits for what these find."""
_hurried = False


class Card(torch.Tensor):
    """A tensor of the card, around the one of the CPU that computes for it.

    The methods here are those for which torch itself asks for the card's driver.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held, device):
        how = {"dtype": held.dtype, "layout": held.layout, "device": device}
        where = {"strides": held.stride(), "storage_offset": held.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(cls, held.size(), **where, **how)
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})

    def __repr__(self):
        return f"Card({self.held})"

    def item(self):
        _read()
        return self.held.item()

    def tolist(self):
        _read()
        return self.held.tolist()

    def __bool__(self):
        return bool(self.item())

    def __int__(self):
        return int(self.item())

    __index__ = __int__

    def __float__(self):
        return float(self.item())

    def numpy(self, *, force=False):
        if not force:
            raise TypeError("can't convert a tensor of the card to numpy")
        _read()
        return self.held.detach().numpy()

    def cpu(self):
        return self.to("cpu")

    def contiguous(self, memory_format=torch.contiguous_format):
        return aten.contiguous(self, memory_format=memory_format)

    def copy_(self, other, non_blocking=False):
        return aten.copy_(self, other, non_blocking)

    def new_tensor(self, data):
        return torch.tensor(data, dtype=self.dtype, device=self.device)

    def nonzero(self):
        return aten.nonzero(self)

    def __getitem__(self, index):
        view, indices = _viewed(self, index)
        return aten.index(view, indices) if indices else view

    def __setitem__(self, index, value):
        view, indices = _viewed(self, index)
        if not isinstance(value, torch.Tensor):
            value = torch.tensor(value, dtype=self.dtype, device=self.device)
        if indices:
            aten.index_put_(view, indices, value.to(self.dtype))
        else:
            view.copy_(value)


class _Everywhere(TorchDispatchMode):
    """Also sees what is made on the card from nothing, and what is brought there."""

    def __init__(self, device):
        super().__init__()
        self.device = device

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {}, self.device)


@contextmanager
def standing_in(device: str) -> Iterator[None]:
    """While this lasts, `device`, such as "cuda:0", is there."""
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with sdpa_kernel(SDPBackend.MATH), _Everywhere(torch.device(device)):
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(False)


@contextmanager
def hurried(yes: bool = True) -> Iterator[None]:
    """While this lasts, what would make the host wait for the card fails, as it does on a real one
    with torch.cuda.set_sync_debug_mode("error")."""
    global _hurried
    before, _hurried = _hurried, yes
    try:
        yield
    finally:
        _hurried = before


def _read():
    if _hurried:
        raise RuntimeError("the host waits for a number of the card's")


def _waits(func, args, kwargs, cards, on_card):
    """Whether the host waits for the card to have done this."""
    if func in _COUNTED:
        return bool(cards)
    if func is aten._to_copy.default:
        return bool(cards) != on_card and not kwargs.get("non_blocking")
    if func is aten.copy_.default:
        came = isinstance(args[1], Card)
        return came != on_card and not (len(args) > 2 and args[2])
    indices = args[1] if func in (aten.index.Tensor, *_FILL) else ()
    return any(isinstance(at, Card) and at.dtype == torch.bool for at in indices)


def _run(func, args, kwargs, there=None):
    tensors = [v for v in tree_leaves((args, kwargs)) if isinstance(v, torch.Tensor)]
    cards = [v for v in tensors if isinstance(v, Card)]
    if cards and func not in _MIX and any(v.dim() and not isinstance(v, Card) for v in tensors):
        raise RuntimeError(f"{func}: tensors of the card and of the host")
    asked = kwargs.get("device")
    there = there if there is not None or not cards else cards[0].device
    on_card = bool(cards) if asked is None else asked.type == getattr(there, "type", None)
    if func in _FILL:
        on_card = isinstance(args[0], Card)
        if cards and not on_card and func is not aten.copy_.default:
            raise RuntimeError(f"{func}: the card's values at places of the host's")
    if _hurried and _waits(func, args, kwargs, cards, on_card):
        raise RuntimeError(f"{func}: the host waits for the card")
    if asked is not None:
        kwargs = kwargs | {"device": torch.device("cpu")}
    if kwargs.get("pin_memory"):
        kwargs = kwargs | {"pin_memory": False}
    args_held, kwargs_held = tree_map_only(Card, lambda v: v.held, (args, kwargs))
    made = func(*args_held, **kwargs_held)
    if cards and torch.Tag.inplace_view in func.tags:
        _follow(func, args, kwargs)
    if not on_card:
        return made
    # What was changed in place is the same tensor as before.
    known = {id(card.held): card for card in cards}
    return tree_map_only(
        torch.Tensor, lambda v: known[id(v)] if id(v) in known else Card(v, there), made
    )


def _follow(func, args, kwargs):
    """Give the card's tensor the shape that the one it holds has taken in place."""
    with no_dispatch():
        before = torch._C._meta_in_tls_dispatch_include()
        torch._C._set_meta_in_tls_dispatch_include(True)
        try:
            func(*args, **kwargs)
        finally:
            torch._C._set_meta_in_tls_dispatch_include(before)


def _viewed(x, index):
    """What `x[index]` sees before tensors of indices choose from it, and those by dimension."""
    index = list(index) if isinstance(index, tuple) else [index]
    places = [i for i, at in enumerate(index) if at is Ellipsis]
    if not places:
        places, index = [len(index)], [*index, Ellipsis]
    spans = [at.ndim if _masks(at) else 1 for at in index if at is not None and at is not Ellipsis]
    index[places[0] : places[0] + 1] = [slice(None)] * (x.ndim - sum(spans))
    dim, indices = 0, []
    for at in index:
        if isinstance(at, int):
            x = x.select(dim, at)
            continue
        if at is None:
            x = x.unsqueeze(dim)
        elif isinstance(at, slice):
            x = aten.slice(x, dim, at.start, at.stop, 1 if at.step is None else at.step)
        chooses = isinstance(at, torch.Tensor | list)
        indices.append(torch.as_tensor(at) if chooses else None)
        dim += at.ndim if _masks(at) else 1
    while indices and indices[-1] is None:
        indices.pop()
    return x, indices


def _masks(at):
    return isinstance(at, torch.Tensor) and at.dtype == torch.bool
