"""Draw the README's picture, for light and for dark pages: `python docs/images/draw_hierarchy.py`.

Video, shots, frames, views and the single tensor V S F A D, all on the same twelve columns.
"""

from pathlib import Path

WIDTH, HEIGHT = 1120, 640
LEFT, SHOT, GAP = 178, 280, 26
SCENE = (160, 100)
SHOT_COLOURS = ("#e07a5f", "#3d9a8b", "#7b6fd0")
THEMES = {
    "light": {"ink": "#24292f", "soft": "#6e7781", "line": "#c3c9d0", "ghost": "#dfe3e8"},
    "dark": {"ink": "#e6edf3", "soft": "#9198a1", "line": "#4a525c", "ghost": "#30363d"},
}


def rect(x: float, y: float, width: float, height: float, fill: str, rest: str = "") -> str:
    """Draw a filled rectangle."""
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="{fill}" {rest}/>'


def path(points: str, fill: str, rest: str = "") -> str:
    """Draw a filled path."""
    return f'<path d="{points}" fill="{fill}" {rest}/>'


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    """Draw one line of text; `kind` is a class of the style sheet."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" text-anchor="{anchor}">{words}</text>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, rest: str = "") -> str:
    """Draw a thin line."""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" '
        f'stroke-width="1.4" {rest}/>'
    )


def balloon(x: float, y: float, size: float) -> str:
    """Draw the object that appears in every shot."""
    return (
        f'<g transform="translate({x:g} {y:g}) scale({size:g})">'
        + path("M-5 14 L5 14 L3 24 L-3 24 Z", "#8a5a2b")
        + line(-9, 6, -4, 15, "#5c3d1e")
        + line(9, 6, 4, 15, "#5c3d1e")
        + '<ellipse rx="16" ry="18" cy="-6" fill="#d8433b"/>'
        + '<ellipse rx="7" ry="18" cy="-6" fill="#f3c64b"/>'
        + "</g>"
    )


def valley(time: float) -> str:
    """Draw shot one: hills in daylight, the balloon rising."""
    return (
        rect(0, 0, *SCENE, "#bfe3f2")
        + '<circle cx="132" cy="22" r="11" fill="#ffe08a"/>'
        + path("M0 62 Q35 34 80 58 T160 50 V100 H0 Z", "#8fbf8a")
        + path("M0 78 Q50 56 100 76 T160 72 V100 H0 Z", "#5f9b62")
        + path("M28 84 l10 -24 l10 24 z M40 88 l12 -30 l12 30 z", "#2f6b46")
        + balloon(70 + 42 * time, 56 - 20 * time, 0.8 + 0.2 * time)
    )


def sea(time: float) -> str:
    """Draw shot two: the coast at dusk, a boat passing."""
    shift = 46 * time
    return (
        rect(0, 0, *SCENE, "#f6b48f")
        + '<circle cx="36" cy="56" r="15" fill="#fbe3b0"/>'
        + rect(0, 58, SCENE[0], 42, "#3f7f93")
        + path("M0 72 q20 -5 40 0 t40 0 t40 0 t40 0 V76 H0 Z", "#5796a8")
        + f'<g transform="translate({40 + shift:g} 70)">'
        + path("M0 -36 V-4 H22 Z M-3 -28 V-4 H-18 Z", "#fff4e3")
        + path("M-24 0 H26 L18 12 H-16 Z", "#6b3f2a")
        + "</g>"
        + balloon(128 - 20 * time, 28 + 4 * time, 0.55)
    )


def street(time: float) -> str:
    """Draw shot three: houses at night, the balloon in close-up."""
    houses = ((4, 40, 34), (42, 26, 30), (76, 46, 28), (108, 30, 46))
    drawn = rect(0, 0, *SCENE, "#26314f") + '<circle cx="24" cy="18" r="8" fill="#f1ead2"/>'
    for number, (x, top, width) in enumerate(houses):
        drawn += rect(x, top, width, 60, ("#4d5d8a", "#5f5380")[number % 2])
        for row in range(3):
            for column in range(width // 12):
                lit = (row + column + number) % 3 == 0
                drawn += rect(
                    x + 5 + 12 * column, top + 7 + 13 * row, 6, 7, "#ffd76a" if lit else "#323d63"
                )
    return (
        drawn + rect(0, 84, SCENE[0], 16, "#1b2238") + balloon(112 - 54 * time, 54 + 4 * time, 1.25)
    )


SCENES = (valley, sea, street)
KEPT = (0, 2)
"""Indices of the sampled frames of each shot."""


def definitions() -> str:
    """Define the twelve frames, each drawn once and used many times."""
    frames = "".join(
        f'<g id="s{shot}f{frame}">{SCENES[shot](frame / 3)}</g>'
        for shot in range(3)
        for frame in range(4)
    )
    grey = '<filter id="grey"><feColorMatrix type="saturate" values="0.12"/></filter>'
    warm = (
        '<filter id="warm"><feColorMatrix type="matrix" values="1.15 0 0 0 .04  0 1 0 0 0  '
        '0 0 .72 0 0  0 0 0 1 0"/></filter>'
    )
    return f"<defs>{grey}{warm}{frames}</defs>"


def picture(
    name: str, x: float, y: float, width: float, height: float, box: str = "", rest: str = ""
) -> str:
    """Place a frame, or the part of it inside `box`, on the page."""
    box = box or f"0 0 {SCENE[0]} {SCENE[1]}"
    return (
        f'<svg x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" viewBox="{box}" '
        f'preserveAspectRatio="xMidYMid slice"><use href="#{name}" {rest}/></svg>'
    )


def heading(y: float, words: str, below: str) -> str:
    """Draw the label at the left of a row."""
    return text(20, y, words, "head") + text(20, y + 20, below, "note")


def shot_left(shot: int) -> float:
    """Return the left edge of a shot's columns."""
    return LEFT + shot * (SHOT + GAP)


def video_row(theme: dict[str, str]) -> str:
    """Draw the film: twelve frames without a gap, with its cuts."""
    width, height, top = 3 * SHOT + 2 * GAP, 62, 34
    frame = width / 12
    drawn = rect(LEFT - 8, top - 13, width + 16, height + 26, "#1c2128", 'rx="6"')
    for number in range(40):
        x = LEFT - 1 + number * (width - 6) / 39
        drawn += rect(x, top - 9, 8, 5, "#f3f4f6", 'rx="1.5"')
        drawn += rect(x, top + height + 4, 8, 5, "#f3f4f6", 'rx="1.5"')
    for number in range(12):
        name = f"s{number // 4}f{number % 4}"
        drawn += picture(name, LEFT + number * frame + 1, top, frame - 2, height)
    for cut in (4, 8):
        x = LEFT + cut * frame
        drawn += line(x, top - 24, x, top + height + 22, theme["ink"], 'stroke-dasharray="4 3"')
        drawn += text(x + 6, top - 18, "cut", "note")
    return heading(58, "video", "V of them") + drawn


def shots_row(theme: dict[str, str]) -> str:
    """Draw the three shots separately, with the sampled frames highlighted."""
    top, height, drawn = 160, 42, ""
    frame = SHOT / 4
    for shot, colour in enumerate(SHOT_COLOURS):
        left = shot_left(shot)
        outline = f'rx="8" stroke="{colour}" stroke-width="2"'
        drawn += rect(left - 6, top - 8, SHOT + 12, height + 16, "none", outline)
        for number in range(4):
            faded = "" if number in KEPT else 'opacity="0.28"'
            drawn += picture(
                f"s{shot}f{number}", left + number * frame + 2, top, frame - 4, height, rest=faded
            )
        for kept in KEPT:
            middle = left + (kept + 0.5) * frame
            for view in range(2):
                x = left + (KEPT.index(kept) * 2 + view + 0.5) * frame
                drawn += line(middle, top + height + 10, x, 250, theme["line"])
    return heading(176, "shots", "S per video,") + text(20, 214, "F frames each", "note") + drawn


def views_row() -> str:
    """Draw two views of every sampled frame: another crop, another colour, a flip."""
    crops = ("18 6 88 88", "52 8 84 84", "30 0 100 100", "60 14 80 80")
    filters = (
        "",
        'filter="url(#grey)"',
        'filter="url(#warm)"',
        'transform="matrix(-1 0 0 1 160 0)"',
    )
    drawn, frame = "", SHOT / 4
    for shot in range(3):
        for number in range(4):
            name = f"s{shot}f{KEPT[number // 2]}"
            choice = (number + shot) % 4
            x = shot_left(shot) + number * frame + (frame - 54) / 2
            drawn += picture(name, x, 252, 54, 54, crops[choice], filters[choice])
    return heading(276, "views", "A per frame") + drawn


def tensor(theme: dict[str, str]) -> str:
    """Draw the embedding tensor: one column of D numbers per view, one sheet per video."""
    top, cell, rows, frame = 356, 17, 6, SHOT / 4
    drawn = ""
    for sheet in (2, 1):
        for shot in range(3):
            for number in range(4):
                x = shot_left(shot) + number * frame + (frame - 40) / 2 + 13 * sheet
                drawn += rect(
                    x, top - 11 * sheet, 40, rows * cell - 2, theme["ghost"],
                    f'stroke="{theme["line"]}" rx="3"',
                )  # fmt: skip
    for shot, colour in enumerate(SHOT_COLOURS):
        for number in range(4):
            x = shot_left(shot) + number * frame + (frame - 40) / 2
            drawn += line(x + 20, 309, x + 20, top - 26, theme["line"])
            drawn += rect(x, top, 40, rows * cell - 2, theme["ghost"], 'rx="3"')
            for row in range(rows):
                # Similar along a shot, and slightly less so along a video: the goal of training.
                strength = 0.35 + 0.6 * ((row * 37 + shot * 11 + number * 3) % 10) / 10
                drawn += rect(
                    x, top + row * cell, 40, cell - 2, colour, f'opacity="{strength:.2f}" rx="2"'
                )
    right = shot_left(2) + SHOT
    drawn += line(right + 20, top, right + 20, top + rows * cell - 2, theme["soft"])
    drawn += text(right + 27, top + 56, "D", "axis")
    drawn += line(right - 8, top - 4, right + 20, top - 28, theme["soft"])
    drawn += text(right + 25, top - 25, "V", "axis")
    label = heading(386, "one tensor", "V S F A D")
    return label + drawn


def bracket(x1: float, x2: float, y: float, colour: str) -> str:
    """Draw a bracket under the columns from x1 to x2."""
    return (
        f'<path d="M{x1:g} {y - 7:g} V{y:g} H{x2:g} V{y - 7:g}" fill="none" stroke="{colour}" '
        'stroke-width="1.6"/>'
    )


def axes(theme: dict[str, str]) -> str:
    """Draw the columns that each level of the loss compares."""
    frame, drawn = SHOT / 4, ""
    for shot, colour in enumerate(SHOT_COLOURS):
        left = shot_left(shot)
        for pair in range(2):
            x = left + pair * 2 * frame
            drawn += bracket(x + 14, x + 2 * frame - 14, 480, colour)
            drawn += text(x + frame, 498, "A", "axis", "middle")
        drawn += bracket(left + 14, left + SHOT - 14, 528, colour)
        drawn += text(left + SHOT / 2, 546, "F", "axis", "middle")
    drawn += bracket(LEFT + 14, shot_left(2) + SHOT - 14, 576, theme["soft"])
    drawn += text(LEFT + (3 * SHOT + 2 * GAP) / 2, 594, "S", "axis", "middle")
    notes = (
        (482, "frame level", "views agree"),
        (530, "shot level", "frames agree"),
        (578, "video level", "the next shot predicted"),
    )
    for y, words, below in notes:
        drawn += text(20, y, words, "level") + text(20, y + 17, below, "note")
    return drawn


def page(theme: dict[str, str]) -> str:
    """Draw the whole picture."""
    font = 'ui-sans-serif,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif'
    style = (
        f"text{{font-family:{font};fill:{theme['ink']}}}"
        ".head{font-size:21px;font-weight:600}.level{font-size:15px;font-weight:600}"
        f".note{{font-size:14px;fill:{theme['soft']}}}"
        ".axis{font-size:16px;font-weight:700;font-style:italic}"
    )
    title = "A video becomes shots, frames, views and one embedding tensor with axes V S F A D"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT - 24}" role="img">'
        f"<title>{title}</title><style>{style}</style>{definitions()}"
        + video_row(theme)
        + shots_row(theme)
        + views_row()
        + tensor(theme)
        + axes(theme)
        + "</svg>\n"
    )


def main() -> None:
    """Write both pictures next to this script."""
    for name, theme in THEMES.items():
        (Path(__file__).parent / f"hierarchy-{name}.svg").write_text(page(theme), encoding="utf-8")


if __name__ == "__main__":
    main()
