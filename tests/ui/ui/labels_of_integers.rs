use metrics_core::Counter;

fn main() {
    let responses = Counter::builder("responses_total", "Responses.").labels(["path", "status"]).build();
    let status: u16 = 200;
    responses.labels(["/foo", 200]).inc();
    responses.labels(["/foo", status]).inc();
    responses.labels(["/foo", status.to_string()]).inc();
}
