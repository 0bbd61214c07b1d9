//! `GET /`: what runs, and where to look. Plain HTML, no script.

use std::fmt::Write as _;

use crate::telemetry::StatusBoard;

/// The page as it is now.
pub fn render(board: &StatusBoard) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>latentd</title><style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem}\
         table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .8rem .3rem 0;border-bottom:1px solid #ccc}\
         td.n{text-align:right;font-variant-numeric:tabular-nums}</style><h1>latentd</h1>",
    );
    let readiness = board.readiness();
    page.push_str(if readiness.ready { "<p>Ready.</p>" } else { "<p>Not ready:</p><ul>" });
    for reason in &readiness.reasons {
        let who = reason.pipeline.as_deref().unwrap_or("daemon");
        let _ = write!(page, "<li>{}: {}</li>", escape(who), escape(&reason.reason));
    }
    page.push_str(if readiness.ready { "" } else { "</ul>" });
    page.push_str(
        "<table><tr><th>pipeline<th>state<th>from<th>to<th>codec<th>records/s<th>lag<th>ratio<th>Kafka's own zstd</tr>",
    );
    for pipeline in board.pipelines() {
        let now = pipeline.snapshot();
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let _ = write!(
            page,
            "<tr><td><a href=\"/api/v1/pipelines/{name}\">{name}</a><td>{}<td>{}<td>{}<td>{}<td class=n>{:.0}\
             <td class=n>{}<td class=n>{}<td class=n>{}</tr>",
            now.state,
            escape(&now.info.from.join(", ")),
            escape(&now.info.to),
            escape(now.info.codec.as_deref().unwrap_or("any")),
            now.rates.consumed_records,
            now.lag_records,
            ratio(now.ratio),
            ratio(now.kafka_ratio),
            name = escape(&now.info.name),
        );
    }
    page.push_str(
        "</table><p><a href=\"/metrics\">metrics</a> · <a href=\"/api/v1/pipelines\">pipelines</a> · \
         <a href=\"/api/v1/models\">models</a> · <a href=\"/api/v1/events?recent=256\">events</a> · \
         <a href=\"/api/v1/openapi.json\">API description</a> · <a href=\"/livez\">livez</a> · <a href=\"/readyz\">readyz</a></p></html>\n",
    );
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
