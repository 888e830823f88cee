// The live worker table. The kernel sends the whole table each time it has changed
// (pydist_widgets/_workers.py, Workers.data); here the page is patched, never rebuilt:
// a button that is replaced between mouse-down and mouse-up loses the click, and the
// keyboard its place.
//
//   table   {caption, columns, rows: [{id, kind, cells}], moreColumns, moreRows}
//   orders  what may be ordered from here: "add", "interrupt", "restart", "remove"
//   note    what became of the last order

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A table whose rows are known by their id. `buttons(id)` gives the nodes of a last column.
class Grid {
  constructor(caption, buttons = null) {
    this.caption = make("caption");
    this.head = make("tr");
    this.body = make("tbody");
    this.buttons = buttons;
    this.rows = new Map();
    this.node = make("table", {}, make("thead", {}, this.head), this.body);
    if (caption) this.node.prepend(this.caption);
  }

  patch(caption, columns, rows) {
    setText(this.caption, caption);
    if (!this.head.children.length) {
      for (const { title, numeric } of columns) {
        this.head.append(make("th", { scope: "col", class: numeric ? "pydist-number" : "" }, title));
      }
      if (this.buttons) this.head.append(make("th", { scope: "col", class: "pydist-orders" }, "actions"));
    }
    const present = new Set(rows.map((row) => row.id));
    for (const [id, row] of this.rows) {
      if (!present.has(id)) {
        row.remove();
        this.rows.delete(id);
      }
    }
    let before = null;
    for (const { id, kind, cells } of rows) {
      let row = this.rows.get(id);
      if (!row) {
        row = this.newRow(id, cells, columns);
        this.rows.set(id, row);
        if (before) before.after(row);
        else this.body.prepend(row);
      }
      if (kind) row.dataset.kind = kind;
      cells.forEach((cell, place) => setText(row.children[place], cell));
      before = row;
    }
  }

  newRow(id, cells, columns) {
    const row = make("tr");
    cells.forEach((_, place) => {
      const attributes = { class: columns[place].numeric ? "pydist-number" : "" };
      row.append(place ? make("td", attributes) : make("th", { scope: "row", ...attributes }));
    });
    if (this.buttons) row.append(make("td", { class: "pydist-orders" }, ...this.buttons(id)));
    return row;
  }
}

const WORDS = { add: "add a worker", interrupt: "interrupt", restart: "restart", remove: "remove" };
const HINTS = {
  interrupt: "stop the calls that are running there",
  restart: "give it a fresh process",
  remove: "end it when its calls are done",
};

function orderButton(model, order, pids, label, hint) {
  const key = `${order} ${pids.join(" ")}`.trim();
  const button = make("button", { type: "button", "data-key": key }, label);
  if (hint) button.title = hint;
  button.addEventListener("click", () => model.send({ order, pids }));
  return button;
}

function render(model, el, memory) {
  const orders = model.get("orders");
  const root = make("div", { class: "pydist" });

  const rowOrders = orders.filter((order) => order !== "add");
  const buttonsFor = (id) => {
    if (id === 1) return []; // the master: it orders, and takes none
    return rowOrders.map((order) => {
      const button = orderButton(model, order, [id], WORDS[order], HINTS[order]);
      button.setAttribute("aria-label", `${WORDS[order]} worker ${id}`);
      return button;
    });
  };
  const main = new Grid(true, rowOrders.length ? buttonsFor : null);
  const more = new Grid(false);
  const details = make("details", {}, make("summary", {}, "about the processes"), more.node);
  details.open = memory.open;
  details.addEventListener("toggle", () => (memory.open = details.open));

  const scroll = make("div", { class: "pydist-scroll" }, main.node);
  root.append(scroll, details);

  const note = make("span", { role: "status", "aria-live": "polite" });
  if (orders.length) {
    const bar = make("div", { class: "pydist-bar" });
    if (orders.includes("add")) bar.append(orderButton(model, "add", [], WORDS.add));
    if (orders.includes("interrupt")) {
      bar.append(orderButton(model, "interrupt", [], "interrupt all", "stop every call that is running on a worker"));
    }
    bar.append(note);
    scroll.before(bar);
  }

  const gone = make("div", { class: "pydist-gone", hidden: "" }, "The kernel is gone: this is the last it said.");
  root.append(gone);

  const draw = () => {
    const table = model.get("table");
    main.patch(table.caption, table.columns, table.rows);
    more.patch("", table.moreColumns, table.moreRows);
    setText(note, model.get("note"));
  };
  const part = () => {
    gone.hidden = false;
    root.querySelectorAll("button").forEach((button) => (button.disabled = true));
  };

  root.addEventListener("focusin", (event) => (memory.focus = event.target.dataset.key ?? null));
  root.addEventListener("focusout", () => {
    // The focus also goes when the view is replaced, which is not the reader's doing: then the node is soon out of
    // the page.
    setTimeout(() => {
      if (root.isConnected && !root.contains(document.activeElement)) memory.focus = null;
    });
  });

  const changes = "change:table change:note";
  model.on(changes, draw);
  model.on("comm_live_update", part);
  draw();
  el.append(root);

  // The view is put into the page after this function has returned.
  const wanted = memory.focus;
  if (wanted) {
    requestAnimationFrame(() => {
      const active = document.activeElement;
      if (active && active !== document.body) return; // the reader has gone elsewhere
      const button = [...root.querySelectorAll("button")].find((each) => each.dataset.key === wanted);
      if (button) button.focus({ preventScroll: true });
    });
  }

  return () => {
    model.off(changes, draw);
    model.off("comm_live_update", part);
  };
}

// Called once for each model. A front end draws the view anew when its cell ends; what the reader had open, or under
// the keyboard, is remembered from one drawing to the next.
export default () => {
  const memory = { open: false, focus: null };
  return { render: ({ model, el }) => render(model, el, memory) };
};
