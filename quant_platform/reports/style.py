"""Style sheets of the page and of its charts: light and dark, paper, and narrow screens.

Line colours are the colour-blind safe ones of Okabe and Ito, darkened on white until they reach a
contrast of 4.5 : 1 and lightened on black.
"""

from __future__ import annotations

LIGHT = (
    "--back:#ffffff;--panel:#f6f7f9;--text:#1a1d21;--quiet:#5b636e;--rule:#dde1e6;"
    "--good:#00704d;--bad:#b3261e;--wait:#8a5a00;"
    "--c0:#0066a6;--c1:#b34d00;--c2:#00704d;--c3:#a3467f;--c4:#6b5b00;--c5:#3f5d8a;"
)
DARK = (
    "--back:#14171a;--panel:#1d2126;--text:#e7eaee;--quiet:#9aa4b0;--rule:#333a42;"
    "--good:#4fc79a;--bad:#ff8a80;--wait:#f0b04c;"
    "--c0:#6cb8f0;--c1:#f59a4d;--c2:#4fc79a;--c3:#e59ac6;--c4:#d9c74a;--c5:#a3bbe6;"
)

STANDALONE_STYLE = (
    f":root{{{LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}"
    "svg{font-family:system-ui,sans-serif}.back{fill:var(--back)}"
)

CHART_STYLE = (
    ".chart text{font-size:12px;fill:var(--quiet)}"
    ".chart .title{font-size:14px;font-weight:600;fill:var(--text)}"
    ".chart .name{fill:var(--text)}.chart .tick{text-anchor:end}.chart .day{text-anchor:middle}"
    ".chart .end{font-weight:600}.chart path{fill:none}"
    ".chart .grid{stroke:var(--rule);stroke-width:1}.chart .zero{stroke:var(--quiet)}"
    ".chart .line{stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}"
    + "".join(
        f".chart .line.c{n}{{stroke:var(--c{n})}}"
        f".chart circle.c{n},.chart text.c{n}{{fill:var(--c{n})}}"
        for n in range(6)
    )
)

PAGE_STYLE = f"""
:root{{color-scheme:light dark;{LIGHT}}}
@media(prefers-color-scheme:dark){{:root{{{DARK}}}}}
*{{box-sizing:border-box}}
body{{margin:0;background:var(--back);color:var(--text);font:15px/1.45 system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}}
main{{max-width:1160px;margin:0 auto;padding:24px 20px 48px}}
h1{{font-size:26px;line-height:1.2;margin:0}}
h2{{font-size:18px;margin:36px 0 10px;padding-top:14px;border-top:1px solid var(--rule)}}
h3{{font-size:14px;margin:18px 0 6px;color:var(--quiet);font-weight:600}}
p{{margin:6px 0}}
.quiet,.note{{color:var(--quiet)}}
.note{{font-size:13px}}
.empty{{background:var(--panel);border-radius:8px;padding:12px 14px;color:var(--quiet)}}
.band{{border-left:4px solid var(--bad);background:var(--panel);color:var(--bad);
padding:10px 14px;margin:14px 0 0;font-weight:600}}
.chips{{display:flex;flex-wrap:wrap;gap:8px;margin:12px 0 0;padding:0;list-style:none}}
.chips li{{border:1px solid currentColor;border-radius:99px;padding:2px 11px;font-size:13px}}
.good{{color:var(--good)}}.bad{{color:var(--bad)}}.wait{{color:var(--wait)}}
.tiles{{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;
margin:20px 0 0}}
.tile{{background:var(--panel);border-radius:10px;padding:12px 14px;min-width:0}}
.tile b{{display:block;font-size:20px;line-height:1.25;font-weight:600;
font-variant-numeric:tabular-nums}}
.tile small{{font-size:12px;font-weight:400;color:var(--quiet)}}
.tile span{{color:var(--quiet);font-size:13px}}
.charts{{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,380px),1fr));gap:22px;margin-bottom:18px}}
.charts>*{{margin:0;min-width:0}}
.chart{{display:block;width:100%;max-width:640px;height:auto;font-family:inherit}}
.scroll{{overflow-x:auto;max-width:100%}}
table{{border-collapse:collapse;width:100%;font-size:14px;font-variant-numeric:tabular-nums}}
caption{{text-align:left;color:var(--quiet);font-size:13px;padding:0 0 6px}}
th,td{{padding:5px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule);
vertical-align:baseline}}
th{{font-weight:600;color:var(--quiet);font-size:13px}}
tbody th{{color:var(--text);font-size:14px;font-weight:500}}
th:first-child,td:first-child,.text{{text-align:left}}
th:first-child,td:first-child{{padding-left:0}}
table.pair{{max-width:480px}}
tr.strong th,tr.strong td{{font-weight:650}}
details{{margin-top:8px}}summary{{cursor:pointer;color:var(--quiet);font-size:13px}}
ul.notes{{margin:8px 0 0;padding-left:18px;color:var(--quiet);font-size:13px}}
footer{{margin-top:40px;border-top:1px solid var(--rule);padding-top:12px;color:var(--quiet);
font-size:13px}}
@media(max-width:560px){{main{{padding:16px 14px 32px}}h1{{font-size:22px}}
th,td{{padding:5px 7px}}.tiles{{grid-template-columns:repeat(2,minmax(0,1fr))}}
.tile b{{font-size:17px}}.chart text{{font-size:15px}}.chart .title{{font-size:17px}}}}
@media print{{:root{{{LIGHT}}}body{{font-size:11px}}main{{max-width:none;padding:0}}
h2{{break-after:avoid}}figure,tr,.tile{{break-inside:avoid}}.scroll{{overflow:visible}}
table{{font-size:10px}}details>*{{display:block}}}}
"""
