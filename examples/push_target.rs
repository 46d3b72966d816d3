//! A custom push target that prints metrics to standard output.
//!
//! `cargo run --release --package metrics-examples --example push_target -- 1`

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::time::{Duration, UNIX_EPOCH};

use metrics_core::{
    Counter, Family, FamilyInfo, Labels, PushContext, PushTarget, Pusher, Summary, Value, Visitor, process_metrics,
};

/// Prints the total of each counter, and the count and mean of each summary. Skips series that are still zero.
struct Console;

impl PushTarget for Console {
    fn name(&self) -> &'static str {
        "console"
    }

    fn push(&mut self, push: &PushContext<'_>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let seconds = push.time().duration_since(UNIX_EPOCH)?.as_secs();
        let mut lines = Lines { push, seconds, family: String::new(), text: String::new() };
        push.scrape().visit(&mut lines);
        // If a push fails, the pusher counts the failure, logs it once per outage, and tries again.
        Ok(io::stdout().lock().write_all(lines.text.as_bytes())?)
    }
}

/// Visits each family and then its series, and formats one line per series.
struct Lines<'a> {
    push: &'a PushContext<'a>,
    seconds: u64,
    family: String,
    text: String,
}

impl Visitor for Lines<'_> {
    fn family(&mut self, family: &FamilyInfo<'_>) {
        family.name.clone_into(&mut self.family);
    }

    fn series(&mut self, labels: Labels<'_>, value: &Value<'_>) {
        let said = match value {
            Value::Counter(total) if total.as_f64() == 0.0 => return,
            Value::Counter(total) => format!("{}", total.as_f64()),
            Value::Summary { count: 0, .. } => return,
            Value::Summary { count, sum, .. } => format!("{count} times, {:.3} on average", sum / *count as f64),
            // Skips values of all other types. The library counts skipped values.
            _ => return self.push.skip("is neither a counter nor a summary", &self.family),
        };
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let line = format!("{} {} {}{said}\n", self.seconds, self.family, labels.concat());
        self.text.push_str(&line);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::init();
    process_metrics!();
    let lines: Family<Counter, 1> = Counter::builder("lines_total", "Lines read.").labels(["kind"]).register();
    let length = Summary::builder("line_length_bytes", "Length of lines.").register();
    let [empty, other] = ["empty", "other"].map(|kind| lines.labels([kind]));

    let interval = std::env::args().nth(1).unwrap_or_else(|| "5".to_owned()).parse()?;
    let pusher = Pusher::builder(Console).interval(Duration::try_from_secs_f64(interval)?).start()?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.is_empty() { &empty } else { &other }.inc();
        length.observe(line.len());
    }
    pusher.shutdown()?;
    Ok(())
}
