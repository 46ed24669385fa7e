"""The frames of the pictures: headings, captions, legends with numbers and controls; the page draws into them."""

from __future__ import annotations

import numpy as np

from truncflow_cli.report.page.curves import Chart, Curve
from truncflow_cli.report.page.geometry import Picture
from truncflow_cli.report.page.markup import escape, formula, number

#: How far the picture of three dimensions can be turned, in degrees.
TURNS = (("turn", 180), ("tilt", 90))
#: Clusters that a legend names.
MOST_CLUSTERS = 24


def chart_html(chart: Chart) -> str:
    """Return the figure of curves: heading, caption, place for the drawing, and the legend with numbers."""
    rows = "\n".join(_legend_row(curve, place) for place, curve in enumerate(chart.curves))
    title = escape(chart.title)
    return (
        f'<figure class="chart" id="chart-{chart.key}">'
        f"<figcaption><h3>{title}</h3><p>{formula(chart.caption)}</p></figcaption>"
        '<div class="plot"></div>'
        f'<div class="under"><table class="legend"><caption class="unseen">{title} at the chosen s</caption>'
        '<thead><tr><th scope="col">curve</th><th scope="col">start</th>'
        '<th scope="col">at <var>s</var></th><th scope="col">end</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
        f'<button type="button" class="scale" aria-pressed="false" '
        f'aria-label="logarithmic axis: {title}">log axis</button></div></figure>'
    )


def _legend_row(curve: Curve, place: int) -> str:
    first, last = (float(curve.values[k]) for k in (0, -1))
    return (
        f'<tr><th scope="row"><svg class="swatch" data-curve="{place}" aria-hidden="true"></svg>'
        f"{escape(curve.name)}</th>"
        f'<td>{number(first)}</td><td class="now">{number(first)}</td><td>{number(last)}</td></tr>'
    )


def picture_html(picture: Picture, names: list[str]) -> str:
    """Return the figure of a geometry, with the controls that it has; names (C,) are those of the clusters."""
    space, numbers = picture.space, picture.first.number
    controls = [
        f'<label>{space.what} <input type="number" class="pick" min="{numbers.min()}" max="{numbers.max()}" '
        f'step="1" value="" placeholder="number"></label>'
    ]
    boxes = ((picture.first.sectors, "orthants", "orthants"), (space.stays, "lines", "lines to images"))
    controls += [
        f'<label><input type="checkbox" class="{kind}" checked> {label}</label>'
        for there, kind, label in boxes
        if there
    ]
    if space.projection.dims == 3:
        controls += [
            f'<label>{kind} <input type="range" class="{kind}" min="-{most}" max="{most}" step="1" value="0"></label>'
            for kind, most in TURNS
        ]
    used = [k for k in np.unique(picture.first.cluster).tolist() if k < len(names)]
    legend = "".join(
        f'<li><svg class="swatch" data-cluster="{k}" aria-hidden="true"></svg>{escape(names[k])}</li>'
        for k in used[:MOST_CLUSTERS]
    )
    if len(used) > MOST_CLUSTERS:
        legend += f"<li>and {len(used) - MOST_CLUSTERS} more</li>"
    return (
        f'<figure class="geometry" id="geometry-{space.key}" data-what="{space.what}">'
        f"<figcaption><h3>{escape(space.title)}</h3><p>{formula(picture.caption)}</p></figcaption>"
        '<div class="plot"></div>'
        f'<ul class="legend" aria-label="clusters">{legend}</ul>'
        f'<div class="controls">{"".join(controls)}</div>'
        '<p class="told"></p></figure>'
    )
