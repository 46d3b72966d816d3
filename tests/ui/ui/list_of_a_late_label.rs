use metrics_core::instrument;

#[instrument("/x", status = |out: &u32| *out in statuses)]
fn call(statuses: &[&str]) -> u32 {
    statuses.len() as u32
}

fn main() {
    call(&[]);
}
