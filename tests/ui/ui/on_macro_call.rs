use metrics_core::instrument;

#[instrument]
thread_local! {
    static NUMBER: u8 = const { 1 };
}

#[instrument]
unsafe extern "C" {
    fn abs(number: i32) -> i32;
}

fn main() {}
