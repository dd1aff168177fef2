"""How the page of samples looks: its frame, its style and its few lines of script. Knows no sample."""

from string import Template
from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark; --bg: #f6f7f9; --card: #fff; --ink: #1b2330; --dim: #5d6879; --line: #dde2ea;
  --bar: #3b6fd4; --m0: #d7e0ee; --m1: #c3cfe2; --ask: #1b2330; --c0: #2f6fde; --c1: #d9730d; --c2: #2b8a3e;
  --c3: #c2255c; --c4: #7048e8; --c5: #0b7285; --c6: #a6781b; --c7: #5f6b7a;
}
@media(prefers-color-scheme:dark) { :root {
  --bg: #12161c; --card: #1b212b; --ink: #e6eaf0; --dim: #9aa6b6; --line: #2d3643; --bar: #6d9bf1; --m0: #2d3a4f;
  --m1: #3a4962; --ask: #e6eaf0; --c0: #74a5ff; --c1: #ffa94d; --c2: #69db7c; --c3: #ff8fb1; --c4: #b197fc;
  --c5: #66d9e8; --c6: #e8c468; --c7: #aab4c2;
} }
* { box-sizing: border-box }
body {
  margin: 0 auto; max-width: 1180px; padding: 28px 20px 60px; background: var(--bg); color: var(--ink);
  font: 15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
}
h1 { font-size: 26px; margin: 0 0 16px }
h2 { font-size: 19px; margin: 36px 0 12px }
h3 { font-size: 14px; margin: 0; overflow-wrap: anywhere }
.tiles { display: flex; flex-wrap: wrap; gap: 12px }
.tile {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 18px;
  flex: 1 1 130px;
}
.tile b { display: block; font-size: 23px; line-height: 1.2 }
.tile span,.rest,.count { color: var(--dim); font-size: 13px }
.charts { columns: 270px; column-gap: 12px; margin-top: 12px }
.chart { break-inside: avoid; margin-bottom: 12px }
.chart,article { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px }
.chart dl {
  display: grid; grid-template-columns: minmax(50px, 46%) 1fr; gap: 4px 10px; margin: 10px 0 0; font-size: 13px;
}
.chart dt { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; color: var(--dim) }
.chart dd { margin: 0; display: flex; align-items: center; gap: 6px; min-width: 0 }
.chart dd i { background: var(--bar); height: 11px; border-radius: 3px; min-width: 2px; flex: 0 1 auto }
.chart dd span { font-variant-numeric: tabular-nums }
.rest { margin: 8px 0 0 }
nav {
  position: sticky; top: 0; z-index: 1; background: var(--bg); display: flex; flex-wrap: wrap; gap: 8px 14px;
  align-items: center; padding: 10px 0;
}
input,select {
  font: inherit; color: inherit; padding: 6px 10px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px;
}
input { flex: 1 1 220px }
.legend { display: flex; gap: 14px; flex-wrap: wrap; font-size: 13px; color: var(--dim) }
.legend i { display: inline-block; vertical-align: -1px; margin-right: 5px }
article { margin: 0 0 14px }
article[hidden] { display: none }
header { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; margin-bottom: 8px }
header h3 { margin-right: 6px }
.chip { font-size: 12px; padding: 1px 8px; border-radius: 99px; border: 1px solid var(--line); color: var(--dim) }
.quirk { border-style: dashed }
svg { display: block; width: 100%; height: auto; font: 10px system-ui, sans-serif }
.grid { stroke: var(--line) }
.mark { fill: var(--dim) }
.m0 rect { fill: var(--m0) }
.m1 rect { fill: var(--m1) }
.uri { fill: var(--ink); font-size: 11px; pointer-events: none }
.span rect { fill: var(--c); opacity: .45 }
.say line { stroke: var(--c); opacity: .55 }
.say circle { fill: var(--c) }
.mute circle { fill: var(--card); stroke: var(--c); stroke-width: 2 }
.ask path { fill: var(--ask) }
.c0 { --c: var(--c0) }
.c1 { --c: var(--c1) }
.c2 { --c: var(--c2) }
.c3 { --c: var(--c3) }
.c4 { --c: var(--c4) }
.c5 { --c: var(--c5) }
.c6 { --c: var(--c6) }
.c7 { --c: var(--c7) }
ol { list-style: none; margin: 10px 0 0; padding: 0; max-height: 260px; overflow: auto; font-size: 14px }
li { display: grid; grid-template-columns: 58px 10px 1fr; gap: 8px; padding: 2px 6px; border-radius: 6px }
li p { margin: 0; overflow-wrap: anywhere }
li time { color: var(--dim); text-align: right; font-variant-numeric: tabular-nums }
li i { width: 9px; height: 9px; border-radius: 50%; margin-top: 7px; background: var(--c,transparent) }
li.ask i { border-radius: 0; background: var(--ask); clip-path: polygon(50% 0,100% 100%,0 100%) }
li.ask p { font-weight: 600 }
li.mute i { background: none; border: 2px solid var(--c) }
li em { color: var(--dim); font-size: 12px; font-weight: 400 }
.on rect { opacity: 1 }
.on circle,.on path { stroke: var(--ink); stroke-width: 2 }
li.on { background: var(--m0) }
.legend .video { width: 18px; height: 9px; background: var(--m1) }
.legend .proof { width: 18px; height: 7px; background: var(--c0); opacity: .45; border-radius: 3px }
.legend .asked { width: 10px; height: 10px; background: var(--ask); clip-path: polygon(50% 0, 100% 100%, 0 100%) }
.legend .said { width: 9px; height: 9px; background: var(--c0); border: 2px solid var(--c0); border-radius: 50% }
.legend .not { background: none }
"""

SCRIPT: Final = """
const samples = [...document.querySelectorAll("article")];
const word = document.querySelector("input");
const task = document.querySelector("select");
function sift() {
  let shown = 0;
  for (const one of samples) {
    const told = one.textContent.toLowerCase().includes(word.value.toLowerCase());
    one.hidden = !(told && (!task.value || one.dataset.task === task.value));
    shown += !one.hidden;
  }
  document.querySelector(".count").textContent = shown + " shown";
}
word.oninput = task.onchange = sift;
document.onmouseover = (event) => {
  document.querySelectorAll(".on").forEach((one) => one.classList.remove("on"));
  const at = event.target.closest("[data-turn]");
  for (const one of at ? at.closest("article").querySelectorAll("[data-turn]") : [])
    if (one.dataset.turn === at.dataset.turn) one.classList.add("on");
};
"""

FRAME: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<h1>$title</h1>
<div class="tiles">$tiles</div>
<div class="charts">$charts</div>
<h2>Samples, $count</h2>
<nav>
<input type="search" placeholder="Search in words and ids" aria-label="Search">
<select aria-label="Task"><option value="">all tasks</option>$tasks</select>
<span class="count"></span>
<div class="legend">
<span><i class="video"></i>video</span>
<span><i class="proof"></i>evidence</span>
<span><i class="asked"></i>question</span>
<span><i class="said"></i>answer</span>
<span><i class="said not"></i>answer not learned</span>
</div>
</nav>
<main>$samples</main>
<script>$script</script>
</body>
</html>
""")
