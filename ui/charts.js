// Three small charts of the last minutes. Lines differ in their dashes as well as in colour.
import { $ } from "./dom.js";

const KEPT = 300; // points: five minutes
const SERIES = {
    "chart-calls": [["calls", "calls", "--c1", []], ["failures", "failures", "--c2", [6, 3]], ["refused", "refused", "--c3", [2, 2]]],
    "chart-latency": [["p50", "p50_ms", "--c1", []], ["p90", "p90_ms", "--c3", [6, 3]], ["p99", "p99_ms", "--c2", [2, 2]]],
    "chart-load": [["in progress", "in_progress", "--c1", []]],
};
const charts = new Map();
let points = [];

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function paint(chart) {
    for (const [i, data] of chart.data.datasets.entries()) {
        data.borderColor = colour(SERIES[chart.canvas.id][i][2]);
    }
    for (const axis of Object.values(chart.options.scales)) {
        axis.grid.color = colour("--line");
        axis.ticks.color = colour("--faint");
    }
    chart.options.plugins.legend.labels.color = colour("--text");
    chart.update();
}

const isPowerOfTen = (value) => Number.isInteger(Number(Math.log10(value).toFixed(6)));

function make(id) {
    const datasets = SERIES[id].map(([label, , , borderDash]) =>
        ({ label, borderDash, data: [], borderWidth: 1.5, pointRadius: 0, pointHitRadius: 8, tension: 0 }));
    const scales = {
        x: { type: "linear", min: -KEPT, max: 0, grid: { drawTicks: false }, ticks: { stepSize: 60, maxRotation: 0, callback: (s) => (s === 0 ? "now" : `${s / 60} min`) } },
        y: id === "chart-latency" ? { type: "logarithmic", grid: { drawTicks: false }, ticks: { callback: (ms) => (isPowerOfTen(ms) ? `${ms}` : null) } }
            : { beginAtZero: true, suggestedMax: 1, grid: { drawTicks: false }, ticks: { maxTicksLimit: 5 } },
    };
    const options = {
        animation: false, responsive: true, maintainAspectRatio: false, parsing: false, normalized: true, scales, interaction: { mode: "index", intersect: false },
        plugins: {
            legend: { display: SERIES[id].length > 1, align: "end", labels: { usePointStyle: true, pointStyle: "line", pointStyleWidth: 28, boxHeight: 6 } },
            tooltip: { callbacks: { title: ([item]) => `${Math.round(-item.parsed.x)} s ago` } },
        },
    };
    return new window.Chart($(id), { type: "line", data: { datasets }, options });
}

/** Colours are read again when they have changed. */
export function paintCharts() {
    charts.forEach(paint);
}

/** Of what is counted: how much a second. NaN leaves a gap. */
const COUNTED = ["calls", "failures", "refused"];
const valueOf = (point, field) => (COUNTED.includes(field) ? point[field] / point.took_s : point[field] ?? NaN);

function draw() {
    const last = points[points.length - 1].t;
    for (const id of Object.keys(SERIES)) {
        if (!charts.has(id)) {
            charts.set(id, make(id));
            paint(charts.get(id));
        }
        const chart = charts.get(id);
        SERIES[id].forEach(([, field], i) => {
            chart.data.datasets[i].data = points.map((point) => ({ x: point.t - last, y: valueOf(point, field) }));
        });
        chart.update("none");
    }
}

/** Seconds that are not there yet are added; T is in seconds. */
export function addHistory(history) {
    const last = points.length ? points[points.length - 1].t : -Infinity;
    const fresh = history.filter((point) => point.t > last);
    if (history.length && history[history.length - 1].t < last - KEPT) {
        points = history; // another gateway, or another clock
    }
    points = [...points, ...fresh].slice(-KEPT);
    if (points.length && !document.hidden) {
        draw();
    }
}
