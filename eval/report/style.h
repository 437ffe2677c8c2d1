// The style sheet of the report.
#pragma once

#include <string_view>

namespace shelfcast::eval {

// Colours are told apart without colour vision too: lightness differs, and lines have dashes of their own.
inline constexpr std::string_view kReportStyle = R"css(
:root {
  color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --ink: #1c2127; --soft: #59636e; --rule: #dfe2e6; --grid: #e9ebee;
  --good: #0b6b50; --bad: #a8321e; --unclear: #7a5d00; --good-wash: #e6f3ee; --bad-wash: #fbeae6; --unclear-wash: #faf3dd;
  --f0: #0b5cad; --f1: #c65a00; --f2: #0f8a6d; --f3: #85569b; --f4: #8a6d00; --f5: #b0305c;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --card: #1b1f25; --ink: #e6e8ea; --soft: #9aa5b1; --rule: #31373f; --grid: #282d34;
    --good: #6fd0af; --bad: #f09a86; --unclear: #e2c163; --good-wash: #17312a; --bad-wash: #3a201b; --unclear-wash: #332c17;
    --f0: #6fb3f5; --f1: #f0a052; --f2: #58c9a9; --f3: #c3a0d6; --f4: #d8bd55; --f5: #ee85a8;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", "Noto Sans", "DejaVu Sans", sans-serif; }
main, header.top, footer { max-width: 1180px; margin: 0 auto; padding: 0 28px; }
header.top { padding-top: 44px; }
.kicker { color: var(--soft); font-size: 13px; letter-spacing: .08em; text-transform: uppercase; margin: 0; }
h1 { font-size: 31px; line-height: 1.2; letter-spacing: -.012em; margin: 4px 0 18px; overflow-wrap: anywhere; }
h2 { font-size: 20px; letter-spacing: -.005em; margin: 52px 0 6px; padding-top: 14px; border-top: 1px solid var(--rule); }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
p { margin: 8px 0; max-width: 74ch; }
.lead { color: var(--soft); margin-top: 0; }
.small, .empty { color: var(--soft); font-size: 14px; }
.verdict { border-radius: 10px; padding: 18px 22px; margin: 0 0 22px; border-left: 5px solid; }
.verdict p { max-width: none; }
.verdict .headline { font-size: 20px; font-weight: 650; line-height: 1.35; margin: 0 0 6px; }
.verdict.better { background: var(--good-wash); border-color: var(--good); }
.verdict.worse { background: var(--bad-wash); border-color: var(--bad); }
.verdict.unclear { background: var(--unclear-wash); border-color: var(--unclear); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 12px; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 12px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; font-weight: 640; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; font-variant-numeric: tabular-nums; margin: 12px 0; }
th, td { text-align: right; padding: 7px 9px; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { color: var(--soft); font-weight: 600; font-size: 13px; }
th:first-child, td:first-child { text-align: left; padding-left: 4px; }
tbody tr:hover { background: var(--grid); }
td.best { font-weight: 700; }
tr.model td:first-child { font-weight: 650; }
.swatch { display: inline-block; width: 22px; height: 0; border-top: 3px solid; vertical-align: middle; margin-right: 8px; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 22px; margin: 10px 0 4px; font-size: 14px; color: var(--soft); }
.key { display: inline-block; width: 22px; height: 12px; border-radius: 2px; vertical-align: middle; margin-right: 8px; }
.key.truth { height: 0; border-top: 2.5px solid var(--ink); } .key.history { height: 0; border-top: 1.5px solid var(--soft); }
.key.band { background: var(--f0); opacity: .35; }
figure { margin: 12px 0; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 14px 16px; }
figure.wide { overflow-x: auto; } figure.wide svg { min-width: 660px; }
.calibration { max-width: 430px; }
figcaption { margin-bottom: 6px; }
figcaption span { color: var(--soft); font-size: 13px; }
.fans { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 14px; }
.fans figure { margin: 0; }
.halves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(320px, 100%), 1fr)); gap: 22px; align-items: start; }
dl { display: grid; grid-template-columns: minmax(130px, max-content) 1fr; gap: 4px 18px; margin: 12px 0; font-size: 14.5px; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
details { margin: 10px 0; } summary { cursor: pointer; color: var(--soft); font-size: 14px; }
code { font: 13.5px ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
footer { color: var(--soft); font-size: 13px; padding-top: 30px; padding-bottom: 56px; }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
.plot { overflow-x: auto; } .wide svg { width: 100%; } .natural svg { width: auto; }
.f0 { --c: var(--f0); } .f1 { --c: var(--f1); } .f2 { --c: var(--f2); } .f3 { --c: var(--f3); } .f4 { --c: var(--f4); } .f5 { --c: var(--f5); }
.swatch.f1 { border-top-style: dashed; } .swatch.f2 { border-top-style: dotted; } .swatch.f3, .swatch.f5 { border-top-style: dashed; }
.swatch.unplotted { visibility: hidden; }
.swatch { border-color: var(--c); }
tr.published td { color: var(--soft); } sup { color: var(--good); } sup.worse { color: var(--bad); }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 16px; overflow-x: auto; font-size: 13.5px; }
@media print {
  body { background: #fff; font-size: 12px; } main, header.top, footer { max-width: none; padding: 0; }
  figure, .tile, tr { break-inside: avoid; } h2 { break-after: avoid; } .scroll, .plot { overflow: visible; }
  details > summary { display: none; } th, td { padding: 4px 6px; }
}
)css";

}  // namespace shelfcast::eval
