use metrics_core::instrument;

#[instrument(name = "foo", level = "debug", skip_all, err)]
fn foo() {}

#[instrument("/bar", skip(pool), fields(id = %id, ?name))]
fn bar(_pool: u32, _id: u32, _name: u32) {}

fn main() {}
