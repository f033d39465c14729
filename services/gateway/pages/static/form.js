// The form for a new film: cards at once, the estimate while typing. Everything here the server can do, too.
import { TYPED, say } from "./live.js";

const form = document.getElementById("new");
const cards = document.getElementById("cards");
const most = Number(form.dataset.max);
const PAUSE = 600;
const NAMES = ["prompt", "seconds", "clipUrl", "clipModel", "clipShape", "clipSeed", "joint", "jointSeconds"];

function number() {
  const all = [...cards.children];
  all.forEach((card, i) => {
    const n = i + 1;
    card.querySelector("[data-n]").textContent = n;
    for (const [op, label] of [["up", `Move clip ${n} up`], ["down", `Move clip ${n} down`], ["remove", `Remove clip ${n}`]]) {
      const button = card.querySelector(`[data-op=${op}]`);
      button.value = `${op}:${n}`;
      button.setAttribute("aria-label", label);
      button.disabled = (op === "up" && i === 0) || (op === "down" && n === all.length) || (op === "remove" && all.length === 1);
    }
    card.querySelector("[data-joint]").hidden = n === all.length;
    for (const name of NAMES) {
      const field = card.querySelector(`[name=${name}]`), label = card.querySelector(`label[for="${field.id}"]`);
      const problem = card.querySelector(`[data-problem^="${name}-"]`);
      label.htmlFor = field.id = `${name}-${i}`;
      problem.id = `e-${name}-${i}`;
      problem.dataset.problem = `${name}-${i}`;
      field.setAttribute("aria-describedby", problem.id);
    }
  });
  form.querySelector("[data-op=add]").disabled = all.length >= most;
}

function act(op, card) {
  if (op === "add") {
    const fresh = cards.lastElementChild.cloneNode(true);
    for (const field of fresh.querySelectorAll("textarea, input, select")) {
      if (field.tagName === "SELECT") field.selectedIndex = 0; else field.value = field.defaultValue = "";
      field.removeAttribute("aria-invalid");
    }
    fresh.querySelector("details").open = false;
    for (const problem of fresh.querySelectorAll("[data-problem]")) { problem.hidden = true; problem.textContent = ""; }
    cards.append(fresh);
    number();
    fresh.querySelector("textarea").focus();
  } else if (op === "remove") {
    if (cards.childElementCount === 1) return;
    const next = card.nextElementSibling ?? card.previousElementSibling;
    card.remove();
    number();
    next.querySelector("textarea").focus();
    say(`Clip removed; ${cards.childElementCount} left.`);
  } else {
    const other = op === "up" ? card.previousElementSibling : card.nextElementSibling;
    if (!other) return;
    const focused = document.activeElement;
    if (op === "up") other.before(card); else other.after(card);
    number();
    (focused.disabled ? card.querySelector("textarea") : focused).focus();
    say(`Clip is now number ${[...cards.children].indexOf(card) + 1}.`);
  }
  later();
}

form.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-op]");
  if (button) { event.preventDefault(); act(button.dataset.op, button.closest(".prompt-card")); }
});
cards.addEventListener("keydown", (event) => {
  if (!event.altKey || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  act(event.key === "ArrowUp" ? "up" : "down", event.target.closest(".prompt-card"));
});

// --- estimate -----------------------------------------------------------------------------------------------------
const signedOut = document.getElementById("signed-out");
const touched = new Set();
let timer = 0, asked = 0;
function later() { clearTimeout(timer); timer = setTimeout(ask, PAUSE); }
function show(name, text, always) {
  const problem = form.querySelector(`[data-problem="${CSS.escape(name)}"]`), field = form.querySelector(`[aria-describedby="e-${CSS.escape(name)}"]`);
  if (!problem || (text && !always && field && !touched.has(field))) return;
  problem.textContent = text;
  problem.hidden = !text;
  if (text) { field?.setAttribute("aria-invalid", "true"); problem.closest("details")?.setAttribute("open", ""); }
  else field?.removeAttribute("aria-invalid");
}
async function ask(always = false) {
  const mine = ++asked, data = new URLSearchParams(new FormData(form));
  data.set("op", "estimate");
  let found;
  try {
    const answer = await fetch(form.action, { method: "POST", body: data, headers: { Accept: "application/json" } });
    signedOut.hidden = answer.status !== 401;
    if ([401, 403].includes(answer.status)) keep(); // this page's token is no good any more; what was typed is
    if (answer.status === 401) { for (const place of form.querySelectorAll("[data-e]")) place.textContent = ""; return; }
    found = await answer.json();
    if (!answer.ok) { say(found.error, true); return; }
  } catch { return; } // the next change asks again
  if (mine !== asked) return;
  for (const problem of form.querySelectorAll("[data-problem]")) show(problem.dataset.problem, found.problems[problem.dataset.problem] ?? "", always === true);
  const general = document.getElementById("general");
  general.replaceChildren(...found.general.map((line) => text("p", line, "error box")));
  for (const place of form.querySelectorAll("[data-e]")) {
    const value = found.estimate?.[place.dataset.e];
    if (place.dataset.e === "warnings") place.replaceChildren(...(value ?? []).map((line) => text("li", line, "")));
    else place.textContent = value || "–";
  }
}
// --- what was typed, kept in this tab while somebody signs in again ------------------------------------------------------
function keep() {
  sessionStorage.setItem(TYPED, JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrf")));
}
function restore() {
  const kept = sessionStorage.getItem(TYPED), places = new Map();
  sessionStorage.removeItem(TYPED);
  if (!kept || form.dataset.blank !== "yes") return;
  const typed = JSON.parse(kept), clips = typed.filter(([name]) => name === "prompt").length;
  while (cards.childElementCount < clips) act("add");
  while (cards.childElementCount > clips) act("remove", cards.lastElementChild);
  for (const [name, value] of typed) {
    const fields = [...form.querySelectorAll(`[name="${CSS.escape(name)}"]`)], place = places.get(name) ?? 0;
    const choice = fields.find((each) => ["radio", "checkbox"].includes(each.type) && each.value === value);
    places.set(name, place + 1);
    if (choice) choice.checked = true;
    else if (fields[place]) fields[place].value = value;
  }
  say("What you typed is back.");
  later();
}
function text(tag, line, className) {
  const element = document.createElement(tag);
  element.textContent = line;
  element.className = className;
  return element;
}
form.addEventListener("input", later);
form.addEventListener("focusout", (event) => { if (event.target.value) { touched.add(event.target); later(); } });
document.getElementById("ask").addEventListener("click", (event) => { event.preventDefault(); ask(true); });
form.addEventListener("submit", (event) => {
  if (form.dataset.sent) event.preventDefault(); // the request id would make it one film anyway
  form.dataset.sent = "yes";
  keep(); // for whoever has to sign in first
});
addEventListener("pageshow", () => { delete form.dataset.sent; });
number();
form.querySelector("[aria-invalid=true]")?.focus();
restore();
