// Keeps a page current. What comes from elsewhere is only ever put in as text.
const SECOND = 1000;
const body = document.body;
export const TYPED = "typed-film"; // in this tab: what was typed for a new film, until the film is there
const said = document.getElementById("said");
const liveState = document.getElementById("live-state");

// --- words -----------------------------------------------------------------------------------------------------
export function duration(ms) {
  const s = Math.max(0, Math.floor(ms / SECOND)), two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${two(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${two(Math.floor(s / 60) % 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s / 3600) % 24} h`;
}
const clock = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
function localTimes(root) {
  for (const time of root.querySelectorAll("time[data-ms]")) {
    const text = clock.format(Number(time.dataset.ms));
    if (time.textContent !== text) time.textContent = text;
  }
}
let hush, unsaid = "";
export function say(text, isBad = false) {
  said.textContent = text;
  said.classList.toggle("bad", isBad);
  clearTimeout(hush);
  hush = setTimeout(() => { said.textContent = ""; if (unsaid) tell(unsaid); }, isBad ? 12 * SECOND : 5 * SECOND);
}
// What happens by itself waits while somebody reads why something they asked for did not work.
function tell(news) {
  const isWaiting = said.textContent && said.classList.contains("bad");
  unsaid = isWaiting ? news : "";
  if (!isWaiting) say(news);
}
function put(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

// --- how current the page is -----------------------------------------------------------------------------------------
const PATIENCE = 15 * SECOND;
let lastRead = Date.now();
function showState(isOn, text) {
  liveState.hidden = false;
  liveState.className = `live-state ${isOn ? "on" : "off"}`;
  put(liveState, text);
}

// --- once per frame ----------------------------------------------------------------------------------------------
const waiting = new Map();
let frame = 0;
function soon(key, work) {
  waiting.set(key, work);
  if (!frame) frame = requestAnimationFrame(() => {
    frame = 0;
    const now = [...waiting.values()];
    waiting.clear();
    for (const each of now) each();
  });
}

// --- taking over what a fresh page says, without disturbing who watches or types -------------------------------------
const KEPT = new Set(["TEXTAREA", "INPUT", "SELECT"]);
const nameOf = (node) => (node.nodeType === 1 && (node.id || node.dataset.version)) || "";
function morph(old, fresh) {
  if (old.nodeType === 3) { if (old.data !== fresh.data) old.data = fresh.data; return; }
  if (KEPT.has(old.tagName) && old.type !== "hidden") return;
  if (old.tagName === "VIDEO" && old.dataset.version === fresh.dataset.version) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const pool = [...old.childNodes], used = new Set();
  const same = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && nameOf(a) === nameOf(b);
  let place = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const match = pool.find((each) => !used.has(each) && same(each, next));
    if (match) {
      used.add(match);
      if (match !== place) old.insertBefore(match, place); else place = place.nextSibling;
      morph(match, next);
    } else old.insertBefore(document.importNode(next, true), place);
  }
  for (const each of pool) if (!used.has(each)) each.remove();
}
async function takeOver(url, ids) {
  const answer = await fetch(url, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) });
  if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { location.href = answer.url; return false; }
  if (!answer.ok) return false;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ids) {
    const mine = document.getElementById(id), theirs = fresh.getElementById(id);
    if (mine && theirs) { localTimes(theirs); morph(mine, theirs); }
  }
  document.title = fresh.title;
  return true;
}

// Whether the page was read again; if not, since when nothing on it is new is said beside it.
async function readAgain(url, ids) {
  let isRead = false;
  try { isRead = await takeOver(url, ids); } catch { /* no answer, as said below */ }
  if (isRead) lastRead = Date.now();
  else showState(false, `No answer; last read ${clock.format(lastRead)}`);
  return isRead;
}

// --- forms without leaving the page ---------------------------------------------------------------------------------
let refresh = () => {};
async function post(form, button) {
  button?.classList.add("busy-now");
  button?.setAttribute("aria-disabled", "true");
  form.closest("dialog")?.close(); // nothing that is said is seen behind it
  try {
    const answer = await fetch(form.action, { method: "POST", body: new URLSearchParams(new FormData(form)), headers: { Accept: "application/json" } });
    const found = await answer.json().catch(() => ({}));
    if (answer.status === 401) { location.href = `/sign-in?next=${encodeURIComponent(location.pathname)}&undone=yes`; return; }
    say(answer.ok ? found.message : found.error ?? `That did not work (${answer.status}).`, !answer.ok);
    if (answer.ok) form.closest("details")?.removeAttribute("open");
    refresh();
  } catch { say("The gateway does not answer; try again.", true); }
  finally { button?.classList.remove("busy-now"); button?.removeAttribute("aria-disabled"); }
}
const confirmDialog = document.getElementById("confirm");
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-quiet]")) return;
  event.preventDefault();
  if (event.submitter?.getAttribute("aria-disabled") === "true") return;
  if (form.dataset.confirm && confirmDialog) {
    put(document.getElementById("confirm-text"), form.dataset.confirm);
    document.getElementById("confirm-yes").onclick = () => { confirmDialog.close(); post(form, event.submitter); };
    confirmDialog.showModal();
  } else post(form, event.submitter);
});
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]"), closer = event.target.closest("[data-closes]");
  if (opener) { event.preventDefault(); const dialog = document.getElementById(opener.dataset.opens); if (!dialog.open) dialog.showModal(); }
  if (closer) { event.preventDefault(); closer.closest("dialog").close(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === " " && event.target.matches?.("a[role=button]")) { event.preventDefault(); event.target.click(); }
});

function askIfSignedOut() {
  fetch(location.pathname, { redirect: "manual" }).then((answer) => { if (answer.type === "opaqueredirect") location.reload(); }, () => {});
}

// --- the stream: open while somebody looks ----------------------------------------------------------------------------
function follow(url, heard, caughtUp) {
  let source = null, again = 0;
  const close = () => { source?.close(); source = null; clearTimeout(again); };
  const open = () => {
    close();
    source = new EventSource(url);
    source.onopen = () => { showState(true, "Live"); caughtUp?.(); };
    source.onerror = () => {
      showState(false, "Reconnecting");
      if (source?.readyState === EventSource.CLOSED) { close(); again = setTimeout(open, 5 * SECOND); askIfSignedOut(); }
    };
    for (const name of ["job", "progress"]) source.addEventListener(name, (event) => heard(name, JSON.parse(event.data)));
  };
  const watch = () => (document.hidden ? close() : open());
  document.addEventListener("visibilitychange", watch);
  addEventListener("pagehide", close);
  watch();
  return () => { document.removeEventListener("visibilitychange", watch); close(); liveState.hidden = true; };
}

// --- elapsed times ------------------------------------------------------------------------------------------------------
function tick() {
  if (document.hidden) return;
  for (const each of document.querySelectorAll("[data-since]")) {
    if (each.dataset.ended || !each.dataset.since) continue;
    put(each.querySelector("[data-f=elapsed]"), duration(Date.now() - Number(each.dataset.since)));
  }
}
setInterval(tick, SECOND);

// --- the list of films ------------------------------------------------------------------------------------------------------
function filmList(list) {
  const { query, status, tableUrl } = list.dataset, most = Number(list.dataset.most), words = JSON.parse(list.dataset.words);
  const blank = document.getElementById("row").content.firstElementChild, isFirst = list.dataset.first === "yes";
  const wanted = (job) => isFirst && (!status || job.status === status) && (!query
    || [job.title, job.jobId, job.recordId ?? ""].some((text) => text.toLowerCase().includes(query.toLowerCase())));
  // As the store sorts them: by time, then by id.
  const isOlder = (row, job) => (Number(row.dataset.since) - job.createdAt || (row.dataset.job < job.jobId ? -1 : 1)) < 0;
  let news = 0;
  const part = (row, name) => row.querySelector(`[data-f="${name}"]`);
  function fresh(job) {
    const row = blank.cloneNode(true);
    row.dataset.job = job.jobId;
    row.dataset.since = job.createdAt;
    part(row, "link").href = `/films/${encodeURIComponent(job.jobId)}`;
    put(part(row, "id"), job.jobId);
    if (job.recordId) {
      part(row, "record-box").hidden = false;
      const record = part(row, "record");
      if (tableUrl) {
        const link = document.createElement("a");
        link.href = `${tableUrl}/${encodeURIComponent(job.recordId)}`;
        link.rel = "noreferrer";
        record.replaceWith(link);
        put(link, `Record ${job.recordId}`);
      } else put(record, `Record ${job.recordId}`);
    }
    return row;
  }
  function show(job) {
    let row = list.querySelector(`[data-job="${CSS.escape(job.jobId)}"]`);
    if (!row) {
      if (!wanted(job) || (list.childElementCount >= most && !isOlder(list.lastElementChild, job))) return;
      row = fresh(job);
      const below = [...list.children].find((each) => isOlder(each, job));
      list.insertBefore(row, below ?? null);
      while (list.childElementCount > most) list.lastElementChild.remove();
      document.getElementById("empty").hidden = true;
    }
    const state = words[job.status] ?? { word: job.status, tone: "quiet" }, badge = part(row, "badge");
    if (row.dataset.status !== job.status) {
      if (row.dataset.status && state.final) news += 1;
      row.dataset.status = job.status;
    }
    put(part(row, "title"), job.title);
    put(badge, state.word);
    badge.className = `badge ${state.tone}`;
    put(part(row, "ready"), String(job.clipsReady));
    put(part(row, "clips"), String(job.clips));
    progress(row, job.progress);
    const error = part(row, "error");
    put(error, job.error ?? "");
    error.hidden = !job.error;
    row.dataset.ended = state.final ? row.dataset.ended || job.updatedAt : "";
    put(part(row, "elapsed"), duration((Number(row.dataset.ended) || Date.now()) - job.createdAt));
    if (["completed", "uploading"].includes(job.status) && !row.querySelector(".thumb img")) picture(row, job.jobId);
    if (news) soon("news", () => { tell(`${news} film${news === 1 ? "" : "s"} ended.`); news = 0; });
  }
  function picture(row, id) {
    const image = new Image(160, 90);
    image.alt = "";
    image.onload = () => row.querySelector(".thumb").replaceChildren(image);
    image.src = `/films/${encodeURIComponent(id)}/poster-320.jpg`;
  }
  function progress(row, percent) {
    const bar = part(row, "progress");
    if (bar.value !== percent) bar.value = percent;
    put(part(row, "percent"), `${Math.round(percent)} %`);
  }
  follow("/api/events", (name, data) => soon(`${name} ${data.jobId}`, () => {
    if (name === "job") return show(data);
    const row = list.querySelector(`[data-job="${CSS.escape(data.jobId)}"]`);
    if (row && !row.dataset.ended) progress(row, data.percent);
  }));
}

// --- one film --------------------------------------------------------------------------------------------------------------
function film(article) {
  const id = encodeURIComponent(article.dataset.job), words = JSON.parse(article.dataset.words);
  let timer = 0, running = false, stop = null, again = false, isCurrent = true;
  // The stream ends with the job. Those who are to be told may still be on the way, and somebody else may let it go on.
  const lookAgain = () => { if (!stop || !isCurrent) timer = setTimeout(document.hidden ? lookAgain : load, (article.dataset.telling === "yes" ? 3 : 15) * SECOND); };
  async function load() {
    running = true;
    const before = article.querySelector("#part-stage .badge").textContent;
    const wasCurrent = isCurrent;
    isCurrent = await readAgain(`/films/${id}`, ["film"]);
    if (isCurrent) preview();
    if (isCurrent && (!stop || !wasCurrent)) showState(true, "Live");
    running = false;
    const after = article.querySelector("#part-stage .badge").textContent;
    if (before !== after) tell(`The film: ${after}.`);
    if (article.dataset.final === "no" && !stop) watch();
    if (again) { again = false; later(); } else { clearTimeout(timer); lookAgain(); }
  }
  // What happens while the page is read again may have come too late for it.
  function later(pause = 250) { if (running) { again = true; return; } clearTimeout(timer); timer = setTimeout(load, pause); }
  refresh = () => later(0);
  function watch() {
    stop = follow(`/api/job/${id}/events`, (name, data) => {
      if (name === "job") {
        if (String(data.jobId) === article.dataset.job) later();
        if (words[data.status]?.final) { stop?.(); stop = null; }
      } else soon("progress", () => {
        const bar = document.getElementById("stage-progress");
        if (bar) bar.value = data.percent;
        put(document.getElementById("stage-message"), data.message);
      });
    });
  }
  // The first picture of each clip, once it is in sight and the page itself has come.
  const sight = new IntersectionObserver((seen) => {
    for (const each of seen) if (each.isIntersecting) { each.target.preload = "metadata"; sight.unobserve(each.target); }
  });
  function preview() { for (const video of article.querySelectorAll("video[preload=none]")) sight.observe(video); }
  preview();
  if (article.dataset.final === "no") watch();
  else lookAgain();
}

// --- operations --------------------------------------------------------------------------------------------------------------
function operations() {
  const load = async () => { if (!document.hidden && await readAgain("/operations", ["operations"])) showState(true, "Live"); };
  refresh = load;
  setInterval(load, 5 * SECOND);
}

localTimes(document);
document.querySelector("form.who")?.addEventListener("submit", () => sessionStorage.removeItem(TYPED));
const list = document.getElementById("films"), article = document.getElementById("film");
if (list) filmList(list);
if (article) { sessionStorage.removeItem(TYPED); film(article); }
if (document.getElementById("operations")) operations();
if (body.querySelector("dialog[open]")) { const open = body.querySelector("dialog[open]"); open.close(); open.showModal(); }
