// Making and changing elements. Text is only ever set as text: names come from clients.

export const $ = (id) => document.getElementById(id);

/** A path of the gateway, as seen from the page; without the password that may be in the address of the page. */
export const inside = (path) => new URL(path, location.origin + location.pathname);

/** el("td", {class: "n"}, "text", child...): properties that begin with "on" are listeners, the rest are attributes. */
export function el(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
        if (name.startsWith("on")) {
            element.addEventListener(name.slice(2), value);
        } else if (value !== null && value !== undefined && value !== false) {
            element.setAttribute(name, value === true ? "" : value);
        }
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
}

/** Touches the page only when the text differs: a selection in it stays. */
export function setText(element, text) {
    if (element.textContent !== text) {
        element.textContent = text;
    }
}

export function show(element, visible) {
    element.hidden = !visible;
}

/** The children of PARENT become those of ITEMS, in their order. An item that was there before, by KEY, keeps its element,
 * and with it focus and selection. make() gives an element, update(element, item) fills it. */
export function sync(parent, items, key, make, update) {
    const names = items.map(key), wanted = new Set(names), before = new Map();
    for (const child of [...parent.children]) {
        if (wanted.has(child.dataset.key)) {
            before.set(child.dataset.key, child);
        } else {
            child.remove(); // first, so that those that stay are not moved: a moved element loses the focus
        }
    }
    let at = parent.firstElementChild;
    items.forEach((item, i) => {
        const element = before.get(names[i]) ?? make(item);
        element.dataset.key = names[i];
        update(element, item);
        if (element === at) {
            at = at.nextElementSibling;
        } else {
            parent.insertBefore(element, at);
        }
    });
}

/** Fills TABLE, whose COLUMNS are [title, how a row is shown (text or element), class]. */
export function fillTable(table, columns, rows, key) {
    if (!table.tHead) {
        table.append(el("thead", {}, el("tr", {}, ...columns.map(([title, , name]) =>
            el("th", { scope: "col", class: name }, title)))), el("tbody"));
    }
    sync(table.tBodies[0], rows, key, () => el("tr", {}, ...columns.map(([title, , name]) =>
        el("td", { class: name, "data-title": title }))), (row, item) => {
        columns.forEach(([, shown], i) => {
            const value = shown(item), cell = row.cells[i];
            if (value instanceof Node) {
                cell.replaceChildren(value);
            } else {
                setText(cell, value);
            }
        });
    });
}
