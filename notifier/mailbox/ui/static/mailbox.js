// The inbox, kept live. Pages come from the server; this fetches their fragments.

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const body = document.body;
const list = $("#list");
const pane = $("#pane");
const search = $("#q");
const live = $("#live");
const announcer = $("#toasts");

const POLL_MS = 5000;
const REFRESH_MS = 60;
const SEARCH_MS = 150;
const TOAST_MS = 2600;

let opened = $("[data-message]", pane)?.dataset.message ?? null;
let openedTab = null;
let opening = 0;
let refreshing = null;
let refreshAgain = false;

const path = (id) => `/mailbox/messages/${encodeURIComponent(id)}`;
const query = () => search.value.trim();
const address = (base) => (query() ? `${base}?q=${encodeURIComponent(query())}` : base);
const rows = () => $$(".row", list);
const rowOf = (id) => (id ? $(`.row[data-id="${CSS.escape(id)}"]`, list) : null);

// Times

const day = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

function shortTime(at, now) {
  const seconds = (now - at) / 1000;
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  const days = Math.round((day(now) - day(at)) / 86400000);
  if (days <= 0) return at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (days < 7) return at.toLocaleDateString([], { weekday: "short" });
  const year = at.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return at.toLocaleDateString([], { day: "numeric", month: "short", year });
}

function showTimes(root = document) {
  const now = new Date();
  for (const time of $$("time", root)) {
    const at = new Date(time.dateTime);
    const full = at.toLocaleString([], { dateStyle: "medium", timeStyle: "medium" });
    time.title = full;
    time.textContent = time.classList.contains("message-time") ? full : shortTime(at, now);
  }
}

// Words to the person

function toast(text) {
  const element = document.createElement("div");
  element.className = "toast";
  element.textContent = text;
  announcer.append(element);
  setTimeout(() => element.remove(), TOAST_MS);
}

async function copy(button) {
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    toast("Copied");
  } catch {
    toast("The browser did not let us copy");
  }
}

async function call(method, address, content) {
  const headers = content ? { "Content-Type": "application/json" } : {};
  const answer = await fetch(address, { method, headers, body: content && JSON.stringify(content) });
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer;
}

// List

function showCounts() {
  const counts = $("#counts");
  const total = Number(counts.dataset.total);
  const unread = Number(counts.dataset.unread);
  body.toggleAttribute("data-empty", total === 0);
  document.title = `${unread ? `(${unread}) ` : ""}Mailbox`;
  $("#confirm-all-count").textContent =
    total === 1 ? "The one mail here" : `All ${total.toLocaleString()} mails`;
}

function showSelection() {
  for (const row of $$(".row[aria-current]", list)) row.removeAttribute("aria-current");
  rowOf(opened)?.setAttribute("aria-current", "true");
}

function replaceList(html) {
  const before = new Set(rows().map((row) => row.dataset.id));
  const wasSearch = list.dataset.q ?? "";
  const focused = document.activeElement?.closest?.(".row")?.dataset.id;
  const top = list.scrollTop;
  list.innerHTML = html;
  list.dataset.q = query();
  list.scrollTop = wasSearch === query() ? top : 0;
  showTimes(list);
  showCounts();
  showSelection();
  if (focused) rowOf(focused)?.focus({ preventScroll: true });
  if (wasSearch !== query()) return;
  for (const row of rows()) if (!before.has(row.dataset.id)) row.classList.add("arrived");
}

async function refresh() {
  if (refreshing) {
    refreshAgain = true;
    return refreshing;
  }
  refreshing = (async () => {
    do {
      refreshAgain = false;
      const shown = Number($("#rows", list)?.dataset.shown ?? 0);
      const wanted = Math.min(1000, Math.max(100, shown));
      const parameters = new URLSearchParams({ q: query(), rows: wanted });
      const answer = await call("GET", `/mailbox/list?${parameters}`);
      replaceList(await answer.text());
    } while (refreshAgain);
  })();
  try {
    await refreshing;
    return true;
  } catch {
    return false;
  } finally {
    refreshing = null;
  }
}

async function showMore(link) {
  const parameters = new URL(link.href).searchParams;
  const answer = await call("GET", `/mailbox/list?${parameters}`);
  const more = new DOMParser().parseFromString(await answer.text(), "text/html");
  const target = $(".rows", list);
  const added = $$(".rows > li", more);
  target.append(...added);
  target.dataset.shown = Number(target.dataset.shown) + added.length;
  const next = $("[data-more]", more);
  if (next) link.replaceWith(next);
  else link.remove();
  showTimes(target);
}

let refreshTimer = null;
function refreshSoon() {
  refreshTimer ??= setTimeout(() => {
    refreshTimer = null;
    refresh();
  }, REFRESH_MS);
}

let searchTimer = null;
search.addEventListener("input", () => {
  clearTimeout(searchTimer);
  searchTimer = setTimeout(() => {
    history.replaceState(history.state, "", address(opened ? path(opened) : "/mailbox"));
    refresh();
  }, SEARCH_MS);
});
search.form.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(searchTimer);
  refresh();
  rows()[0]?.focus();
});

function clearSearch() {
  search.value = "";
  history.replaceState(history.state, "", opened ? path(opened) : "/mailbox");
  refresh();
}

// Message

async function showPane(id, tab) {
  const turn = ++opening;
  const parameters = tab ? `?tab=${encodeURIComponent(tab)}` : "";
  const answer = await fetch(`${path(id)}/pane${parameters}`);
  const html = await answer.text();
  if (turn !== opening) return;
  pane.innerHTML = html;
  showTimes(pane);
  body.dataset.view = "message";
  applyStage();
  if (answer.ok) markRead(id);
}

async function open(id, { push = true, focus = false, tab = openedTab } = {}) {
  opened = id;
  showSelection();
  rowOf(id)?.scrollIntoView({ block: "nearest" });
  if (push) history.pushState({ id }, "", address(path(id)));
  await showPane(id, tab);
  if (focus) pane.focus({ preventScroll: true });
}

function close({ push = true } = {}) {
  const from = opened;
  opening += 1;
  opened = null;
  body.dataset.view = "list";
  pane.replaceChildren($("#nothing").content.cloneNode(true));
  showSelection();
  if (push) history.pushState({}, "", address("/mailbox"));
  rowOf(from)?.focus();
}

async function markRead(id) {
  const row = rowOf(id);
  if (row && !row.classList.contains("is-unread")) return;
  row?.classList.remove("is-unread");
  await call("POST", `${path(id)}/read`).catch(() => {});
}

async function markUnread() {
  if (!opened) return;
  const id = opened;
  close();
  await call("POST", `${path(id)}/unread`).catch(() => toast("That did not work"));
}

async function remove(id) {
  if (!id) return;
  const all = rows();
  const at = all.findIndex((row) => row.dataset.id === id);
  const next = all[at + 1] ?? all[at - 1];
  const wasOpen = opened === id;
  try {
    await call("DELETE", "/mailbox/api/messages", { ids: [id] });
  } catch {
    toast("That did not work");
    return;
  }
  toast("Deleted");
  rowOf(id)?.closest("li").remove();
  if (!wasOpen) next?.focus();
  else if (next && innerWidth >= 720) open(next.dataset.id);
  else close();
}

function step(by) {
  const all = rows();
  if (!all.length) return;
  const current = document.activeElement?.closest?.(".row") ?? rowOf(opened);
  const at = all.indexOf(current);
  const next = all[at < 0 ? 0 : Math.max(0, Math.min(all.length - 1, at + by))];
  if (body.dataset.view === "message") open(next.dataset.id);
  if (getComputedStyle(list).display !== "none") next.focus();
}

// The preview keeps its width and colours from mail to mail.

const stage = { width: "", scheme: "light" };

function applyStage() {
  const element = $(".stage", pane);
  if (!element) return;
  element.dataset.scheme = stage.scheme;
  element.classList.toggle("is-narrow", stage.width !== "");
  $(".preview", element).style.width = stage.width ? `${stage.width}px` : "";
  for (const button of $$("[data-width]", pane))
    button.setAttribute("aria-pressed", String(button.dataset.width === stage.width));
  for (const button of $$("button[data-scheme]", pane))
    button.setAttribute("aria-pressed", String(button.dataset.scheme === stage.scheme));
}

function setScheme(scheme) {
  stage.scheme = scheme;
  applyStage();
}

function toggleImages(button) {
  const on = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(on));
  $(".preview", pane).src = `${path(opened)}/frame${on ? "?images=true" : ""}`;
}

// Clicks

const actions = {
  "[data-copy]": (target) => copy(target),
  "[data-clear]": clearSearch,
  "[data-more]": showMore,
  "[data-back]": () => close(),
  "[data-show]": (target) => {
    openedTab = target.dataset.show;
    showPane(opened, openedTab);
  },
  "[data-unread]": markUnread,
  "[data-delete]": () => remove(opened),
  "[data-width]": (target) => {
    stage.width = target.dataset.width;
    applyStage();
  },
  "button[data-scheme]": (target) => setScheme(target.dataset.scheme),
  "[data-images]": toggleImages,
  ".row": (target) => open(target.dataset.id, { tab: openedTab }),
  "#show-help": () => $("#help").showModal(),
  "#delete-all": () => $("#confirm-all").showModal(),
};

document.addEventListener("click", (event) => {
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
  for (const [selector, action] of Object.entries(actions)) {
    const target = event.target.closest(selector);
    if (!target) continue;
    event.preventDefault();
    action(target);
    return;
  }
});

$("#confirm-all").addEventListener("close", async (event) => {
  if (event.target.returnValue !== "delete") return;
  event.target.returnValue = "";
  try {
    const answer = await call("DELETE", "/mailbox/api/messages", { all: true });
    const { deleted } = await answer.json();
    toast(`${deleted.toLocaleString()} deleted`);
    search.value = "";
    close();
    refresh();
  } catch {
    toast("That did not work");
  }
});

for (const dialog of $$("dialog"))
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());

addEventListener("popstate", () => {
  const found = location.pathname.match(/\/mailbox\/messages\/([^/]+)$/);
  search.value = new URLSearchParams(location.search).get("q") ?? "";
  if (search.value !== (list.dataset.q ?? "")) refresh();
  if (found) open(decodeURIComponent(found[1]), { push: false });
  else close({ push: false });
});

// Keys

const keys = {
  j: () => step(1),
  k: () => step(-1),
  n: () => step(1),
  p: () => step(-1),
  u: () => opened && close(),
  Escape: () => opened && close(),
  x: () => remove(opened ?? document.activeElement?.closest?.(".row")?.dataset.id),
  "#": () => keys.x(),
  m: markUnread,
  c: () => $("[data-code]", pane)?.click(),
  d: () => setScheme(stage.scheme === "dark" ? "light" : "dark"),
  "/": () => {
    if (body.dataset.view === "message" && innerWidth < 720) close();
    search.focus();
    search.select();
  },
  "?": () => $("#help").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (event.target === search) {
    if (event.key === "Escape") {
      if (search.value) clearSearch();
      search.blur();
      event.preventDefault();
    }
    return;
  }
  const tab = /^[1-9]$/.test(event.key) && $$("[data-show]", pane)[Number(event.key) - 1];
  if (tab) tab.click();
  else if (Object.hasOwn(keys, event.key)) keys[event.key]();
  else return;
  event.preventDefault();
});

// A click into the preview would take the keys away for good: no script runs in there to give
// them back. Coming by Tab is meant, so that its links can be reached.
let lastKey = "";
document.addEventListener("keydown", (event) => (lastKey = event.key), true);
document.addEventListener("pointerdown", () => (lastKey = ""), true);
addEventListener("blur", () =>
  setTimeout(() => {
    if (document.activeElement?.tagName !== "IFRAME" || lastKey === "Tab") return;
    document.activeElement.blur();
    window.focus();
  }),
);

// Live

let poller = null;

function setLive(state, word) {
  if (live.dataset.state === state) return;
  live.dataset.state = state;
  $("#live-word").textContent = word;
}

async function poll() {
  if (!(await refresh())) setLive("lost", "Not connected");
}

function lost() {
  setLive("lost", "Reconnecting");
  poller ??= setInterval(poll, POLL_MS);
}

function connected() {
  clearInterval(poller);
  poller = null;
  setLive("live", "Live");
}

function onChange(event) {
  const { kind, ids } = JSON.parse(event.data);
  const gone = (kind === "deleted" || kind === "pruned") && ids.includes(opened);
  if (gone) showPane(opened);
  refreshSoon();
}

let place = null;

function connect() {
  const stream = new EventSource("/mailbox/events");
  stream.addEventListener("open", () => {
    connected();
    // What came between the page's rendering and the first event of a fresh stream.
    if (place === null) refreshSoon();
  });
  stream.addEventListener("change", (event) => {
    place = event.lastEventId;
    onChange(event);
  });
  stream.addEventListener("reset", refreshSoon);
  stream.addEventListener("error", () => {
    lost();
    // A refused stream is not retried by the browser.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, POLL_MS);
  });
  addEventListener("pagehide", () => stream.close(), { once: true });
}

addEventListener("pageshow", (event) => event.persisted && location.reload());
setInterval(showTimes, 30000);
list.dataset.q = query();
showTimes();
showCounts();
showSelection();
applyStage();
if (opened) markRead(opened);
connect();
