"""The twelve families of the mesh world: how each is built of named parts, with random proportions.

Every object stands upright with y up; what has a front looks along +z, or along +x where its
length lies (hammer, fish). Parts reach into each other, so that they hold together, and never
share a plane, so that no pixel is undecided. The unit is free: `miniature.meshes.build` normalises.
This module knows nothing about colours, captions or pictures.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from miniature.meshes.solids import (
    Solid,
    box,
    cylinder,
    ellipsoid,
    extrude,
    lathe,
    moved,
    ring,
    tube,
    turned,
)

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Part:
    """A named part of an object; what is there several times is one plural part."""

    name: str
    solids: tuple[Solid, ...]
    plural: bool = False


def mushroom(rng: Rng) -> tuple[Part, ...]:
    reach, rise, height = rng.uniform(0.6, 0.95), rng.uniform(0.35, 0.7), rng.uniform(0.6, 1.1)
    stem, waist = rng.uniform(0.17, 0.28), rng.uniform(0.7, 0.95)
    angle = np.linspace(0, np.pi / 2, 8)
    dome = np.stack([reach * np.cos(angle), height + rise * np.sin(angle)], axis=1)
    under = [(0, height + 0.06), (0.6 * reach, height + 0.02)]
    foot = [(0, 0), (0.9 * stem, 0), (1.15 * stem, 0.08), (waist * stem, 0.5 * height)]
    return (
        Part("cap", (lathe(np.concatenate([under, dome]), 28),)),
        Part("stem", (lathe([*foot, (stem, height + 0.09), (0, height + 0.09)]),)),
    )


def mug(rng: Rng) -> tuple[Part, ...]:
    radius, height, wall = rng.uniform(0.38, 0.6), rng.uniform(0.8, 1.2), 0.06
    foot = radius * rng.uniform(0.75, 1.0)
    inner = [(radius - wall, height), (foot - wall, wall), (0, wall)]
    side = np.linspace((foot, 0), (radius, height), 5)
    low, high = 0.22 * height, 0.8 * height
    start, end = (foot + (radius - foot) * y / height - wall / 2 for y in (low, high))
    bow = rng.uniform(0.3, 0.45)
    angle = np.linspace(0, np.pi, 12)
    base = start + (end - start) * (1 - np.cos(angle)) / 2
    rise = low + (high - low) * (1 - np.cos(angle)) / 2
    path = np.stack([base + bow * np.sin(angle), rise, np.zeros(12)], axis=1)
    return (
        Part("body", (lathe(np.concatenate([[(0, 0)], side, inner]), 28),)),
        Part("handle", (tube(path, rng.uniform(0.055, 0.085)),)),
    )


def table(rng: Rng) -> tuple[Part, ...]:
    width, depth = rng.uniform(1.2, 1.9), rng.uniform(0.9, 1.2)
    height, thick, leg = rng.uniform(0.6, 1.0), rng.uniform(0.1, 0.16), rng.uniform(0.1, 0.16)
    reach = height + thick / 3
    if rng.uniform() < 0.4:
        width = depth = rng.uniform(1.1, 1.5)
        top = lathe([(0, 0), (width / 2, 0), (width / 2, thick), (0, thick)], 32)
        top = moved(top, y=height)
        x, z = 0.3 * width, 0.3 * depth
        post = cylinder(0.6 * leg, 0, reach)
    else:
        top = moved(box(width, thick, depth), y=height + thick / 2)
        x, z = (side / 2 - leg / 2 - 0.05 for side in (width, depth))
        post = moved(box(leg, reach, leg), y=reach / 2)
    legs = tuple(moved(post, x=sx * x, z=sz * z) for sx in (-1, 1) for sz in (-1, 1))
    return Part("top", (top,)), Part("legs", legs, plural=True)


def lamp(rng: Rng) -> tuple[Part, ...]:
    reach, pole, height = rng.uniform(0.35, 0.5), rng.uniform(0.05, 0.08), rng.uniform(0.9, 1.3)
    low, high = rng.uniform(0.42, 0.6), rng.uniform(0.2, 0.34)
    tall = rng.uniform(0.45, 0.65)
    foot = [(0, 0), (reach, 0), (reach, 0.06), (0.6 * reach, 0.13), (0.15, 0.2), (0, 0.2)]
    outer = np.linspace((low, height), (high, height + tall), 5)
    shade = ring(np.concatenate([outer, outer[::-1] - (0.05, 0)]), 28)
    bulb = moved(ellipsoid(0.13, 0.16, 0.13, 8, 12), y=height + 0.15)
    return (
        Part("shade", (shade, bulb)),
        Part("pole", (cylinder(pole, 0.1, height + 0.1),)),
        Part("base", (lathe(foot, 28),)),
    )


def rocket(rng: Rng) -> tuple[Part, ...]:
    radius, height, tip = rng.uniform(0.26, 0.38), rng.uniform(0.9, 1.4), rng.uniform(0.4, 0.7)
    bulge = rng.uniform(1.05, 1.3)
    side = [(radius, 0.4 * height * k / 3) for k in range(4)]
    side = [(r * (1 + (bulge - 1) * np.sin(np.pi * y / height)), y) for r, y in side]
    side += [(radius * (1 + (bulge - 1) * np.sin(np.pi * k)), k * height) for k in (0.6, 0.8)]
    body = lathe([(0, 0), *side, (radius, height), (0, height)])
    angle = np.linspace(0, np.pi / 2, 7)
    cone = np.stack([1.03 * radius * np.cos(angle), tip * np.sin(angle)], axis=1)
    nose = moved(lathe(np.concatenate([[(0, 0)], cone])), y=height - 0.03)
    span, tall = rng.uniform(0.28, 0.45), rng.uniform(0.4, 0.6)
    outline = [(0, 0.02), (span, -0.22), (span, 0.05), (0, tall)]
    fin = moved(extrude(outline, 0.09), x=0.8 * radius)
    count = int(rng.integers(3, 5))
    fins = tuple(turned(fin, "y", 2 * np.pi * k / count + 0.3) for k in range(count))
    return Part("body", (body,)), Part("nose", (nose,)), Part("fins", fins, plural=True)


def snowman(rng: Rng) -> tuple[Part, ...]:
    low, mid, top = rng.uniform(0.5, 0.62), rng.uniform(0.38, 0.46), rng.uniform(0.3, 0.36)
    middle = 0.9 * low + 0.75 * mid + 0.9 * low
    neck = middle + 0.88 * mid
    centre = neck + 0.75 * top
    body = (
        moved(ellipsoid(low, 0.9 * low, low), y=0.9 * low),
        moved(ellipsoid(mid, mid, mid), y=middle),
    )
    carrot = turned(lathe([(0, 0), (0.075, 0), (0.04, 0.17), (0, 0.34)], 10), "x", np.pi / 2)
    head = (moved(ellipsoid(top, top, top), y=centre), moved(carrot, y=centre, z=0.8 * top))
    rim, crown, tall = 1.25 * top, rng.uniform(0.65, 0.85) * top, rng.uniform(0.25, 0.45)
    brim = centre + 0.62 * top
    felt = [(0, 0), (rim, 0), (rim, 0.07), (crown, 0.07), (crown, tall), (0, tall)]
    angle = 2 * np.pi * np.arange(10) / 10
    wool = np.stack([0.85 * top + 0.075 * np.cos(angle), 0.085 * np.sin(angle)], axis=1)
    scarf = moved(ring(wool, 28), y=neck + 0.03)
    return (
        Part("hat", (moved(lathe(felt), y=brim),)),
        Part("head", head),
        Part("scarf", (scarf,)),
        Part("body", body),
    )


def vase(rng: Rng) -> tuple[Part, ...]:
    belly, foot, neck = rng.uniform(0.42, 0.58), rng.uniform(0.2, 0.3), rng.uniform(0.14, 0.2)
    height, tall = rng.uniform(0.8, 1.1), rng.uniform(0.35, 0.55)
    mouth = neck + rng.uniform(0.06, 0.16)
    k = np.linspace(0, 1, 10)
    waist = foot * (1 - k) + neck * k + (belly - 0.5 * (foot + neck)) * np.sin(np.pi * k**0.8)
    side = np.stack([waist, height * k], axis=1)
    body = lathe(np.concatenate([[(0, 0)], side, [(0, height)]]), 28)
    rise = np.linspace(0, 1, 6)
    outer = np.stack([1.08 * neck + (mouth - neck) * rise**2, height - 0.04 + tall * rise], axis=1)
    hollow = np.concatenate([outer[:1] * (0, 1), outer, outer[:0:-1] - (0.05, 0)])
    throat = lathe(np.concatenate([hollow, [(0, outer[1, 1])]]), 28)
    angle = np.linspace(0.05, np.pi - 0.3, 12)
    out, lift = rng.uniform(0.25, 0.38), 0.55 * (0.3 * height + 0.5 * tall)
    arc = np.stack([out * np.sin(angle), -lift * np.cos(angle), 0 * angle], axis=1)
    handle = moved(tube(arc, 0.055), x=0.95 * neck, y=height + 0.12 * tall)
    handles = (handle, turned(handle, "y", np.pi))
    return Part("body", (body,)), Part("neck", (throat,)), Part("handles", handles, plural=True)


def hammer(rng: Rng) -> tuple[Part, ...]:
    length, grip = rng.uniform(1.3, 1.8), rng.uniform(0.08, 0.12)
    face, reach, tall = rng.uniform(0.16, 0.22), rng.uniform(0.35, 0.5), rng.uniform(0.24, 0.32)
    side = [(grip, 0.03), (1.15 * grip, 0.2), (0.8 * grip, 0.6 * length), (0.85 * grip, length)]
    block = moved(box(0.34, tall, 0.28), y=length)
    barrel = cylinder(0.75 * face, 0, reach)
    cheek = moved(cylinder(face, 0, 0.16), y=reach - 0.06)
    claw = [(0, -0.45 * tall), (0, 0.4 * tall), (-0.3, 0.33 * tall), (-0.55, -0.5 * tall)]
    claw = moved(extrude(claw, 0.2), x=-0.12, y=length)
    front = (moved(turned(s, "z", -np.pi / 2), x=0.1, y=length) for s in (barrel, cheek))
    return (
        Part("head", (block, claw, *front)),
        Part("handle", (lathe([(0, 0), *side, (0, length)]),)),
    )


def chair(rng: Rng) -> tuple[Part, ...]:
    width, depth, thick = rng.uniform(0.7, 0.95), rng.uniform(0.7, 0.9), rng.uniform(0.1, 0.15)
    height, tall, leg = rng.uniform(0.5, 0.75), rng.uniform(0.6, 0.95), rng.uniform(0.09, 0.14)
    seat = moved(box(width, thick, depth), y=height)
    back = moved(box(0.94 * width, tall, 0.1), y=height + tall / 2, z=-0.44 * depth)
    lean = rng.uniform(0.0, 0.2)
    back = moved(turned(moved(back, y=-height), "x", -lean), y=height)
    x, z = (0.46 * side - leg / 2 for side in (width, depth))
    post = moved(box(leg, height, leg), y=height / 2 - 0.01)
    legs = tuple(moved(post, x=sx * x, z=sz * z) for sx in (-1, 1) for sz in (-1, 1))
    return Part("back", (back,)), Part("seat", (seat,)), Part("legs", legs, plural=True)


def robot(rng: Rng) -> tuple[Part, ...]:
    width, tall, depth = rng.uniform(0.6, 0.9), rng.uniform(0.6, 0.85), rng.uniform(0.35, 0.5)
    face, limb, leg = rng.uniform(0.36, 0.52), rng.uniform(0.08, 0.11), rng.uniform(0.4, 0.6)
    chest = leg + tall / 2
    crown = leg + tall + 0.06 + 0.4 * face
    skull = moved(box(1.15 * face, 0.8 * face, 0.9 * face), y=crown)
    neck = cylinder(0.12, leg + tall - 0.05, crown - 0.03)
    mast = cylinder(0.03, crown, crown + 0.4 * face + 0.18)
    knob = moved(ellipsoid(0.075, 0.075, 0.075, 8, 12), y=crown + 0.4 * face + 0.2)
    eye = moved(ellipsoid(0.085, 0.085, 0.085, 8, 12), y=crown + 0.06, z=0.45 * face)
    eyes = (moved(eye, x=s * 0.28 * face) for s in (-1, 1))
    shoulder, span = width / 2 - 0.03, rng.uniform(0.28, 0.4)
    bend = [(0, 0, 0), (0.6 * span, -0.02, 0), (span, -0.15, 0.02), (span, -0.55, 0.1)]
    arm = moved(tube(bend, limb), x=shoulder, y=leg + 0.8 * tall)
    mirror = Solid(arm.vertices * (-1, 1, 1), arm.faces[:, ::-1])
    post = moved(cylinder(1.25 * limb, 0, leg + 0.06), x=0.26 * width)
    shoe = moved(box(0.3, 0.13, 0.42), x=0.26 * width, y=0.055, z=0.07)
    legs = tuple(moved(s, x=k * 0.52 * width) for s in (post, shoe) for k in (0, -1))
    return (
        Part("head", (skull, neck, mast, knob, *eyes)),
        Part("body", (moved(box(width, tall, depth), y=chest),)),
        Part("arms", (arm, mirror), plural=True),
        Part("legs", legs, plural=True),
    )


def fish(rng: Rng) -> tuple[Part, ...]:
    tall, wide = rng.uniform(0.38, 0.55), rng.uniform(0.22, 0.32)
    tail, span = rng.uniform(0.45, 0.6), rng.uniform(0.35, 0.5)
    k = np.linspace(0, 1, 14)[1:]
    girth = np.sin(np.pi * k**0.75) ** 0.8 + 0.14 * k
    profile = np.stack([girth, 1.8 * k - 0.9], axis=1)
    profile = np.concatenate([[(0, -0.9)], profile, [(0, 0.9)]])
    body = turned(lathe(profile, 20), "z", np.pi / 2)
    body = Solid(body.vertices * (1, tall, wide), body.faces)
    fork = [(0, 0), (tail, span), (0.8 * tail, 0), (tail, -span)]
    fork = moved(extrude([(-x, y) for x, y in fork], 0.08), x=-0.78)
    crest = [(0.35, 0.7 * tall), (-0.35, 0.7 * tall), (-0.5, tall + 0.25), (0.0, tall + 0.2)]
    crest = extrude(crest[::-1], 0.08)
    side = extrude([(0, -0.1), (0, 0.1), (-0.4, 0.14), (-0.45, -0.2)], 0.07)
    right = moved(turned(side, "y", 0.6), x=0.25, y=-0.1, z=0.75 * wide)
    left = moved(turned(side, "y", -0.6), x=0.25, y=-0.1, z=-0.75 * wide)
    return (
        Part("body", (body,)),
        Part("tail", (fork,)),
        Part("fins", (crest, right, left), plural=True),
    )


def house(rng: Rng) -> tuple[Part, ...]:
    width, depth, height = rng.uniform(0.9, 1.3), rng.uniform(0.8, 1.1), rng.uniform(0.55, 0.85)
    rise, eave = rng.uniform(0.4, 0.65), 0.14
    gable = [(-width / 2 - eave, 0), (width / 2 + eave, 0), (0, rise)]
    roof = moved(extrude(gable, depth + 2 * eave, 4), y=height - 0.03)
    at = rng.choice((-1, 1)) * rng.uniform(0.2, 0.3) * width
    stack = moved(box(0.2, 0.55, 0.2), x=at, y=height + rise - 0.12, z=-0.15 * depth)
    door = moved(box(0.26, 0.7 * height, 0.1), x=rng.uniform(-0.2, 0.2), y=0.35 * height + 0.01)
    return (
        Part("walls", (moved(box(width, height, depth, 4), y=height / 2),), plural=True),
        Part("roof", (roof,)),
        Part("chimney", (stack,)),
        Part("door", (moved(door, z=depth / 2),)),
    )


FAMILIES: dict[str, Callable[[Rng], tuple[Part, ...]]] = {
    make.__name__: make
    for make in (
        mushroom,
        mug,
        table,
        lamp,
        rocket,
        snowman,
        vase,
        hammer,
        chair,
        robot,
        fish,
        house,
    )
}
