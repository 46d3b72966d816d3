//! The protobuf messages that tests decode, declared for `prost`. The library encodes them without `prost`.
//!
//! Each module transcribes the `.proto` files of one format: messages and fields have the names, numbers and types of
//! these files, except that `type` is named `kind`. Fields that no test reads are not declared, so the decoder skips
//! them. The scalar fields of an exposition are optional, as in its `.proto` file. For each of them, `prost` generates
//! a method of the same name, which returns the default if the field is absent.

pub mod exposition;
pub mod otlp;
pub mod remote_write;

use prost::Message;

/// A number of consecutive native buckets, after a gap. Expositions and remote write share this type, because they
/// encode spans in the same way. Its fields are not optional.
#[derive(Clone, PartialEq, Message)]
pub struct BucketSpan {
    /// The number of indexes since the previous span, or the first index.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// Returns the index and count of each native bucket. Panics if the spans and deltas do not match, or if a count is
/// negative.
fn native_buckets(spans: &[BucketSpan], deltas: &[i64]) -> Vec<(i32, u64)> {
    let (mut index, mut count, mut deltas) = (0, 0, deltas.iter());
    let mut buckets = Vec::new();
    for span in spans {
        index += span.offset;
        for _ in 0..span.length {
            count += deltas.next().expect("a count for each bucket");
            buckets.push((index, u64::try_from(count).expect("a count")));
            index += 1;
        }
    }
    assert_eq!(deltas.next(), None);
    buckets
}
