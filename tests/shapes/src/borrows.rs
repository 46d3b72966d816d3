//! Function bodies whose lifetimes and types must be inferred exactly as they are without the attribute.

#![allow(unused_assignments)]

use super::*;

#[test]
fn arguments_can_borrow_from_locals() {
    #[instrument("reassigned-later")]
    async fn later(mut name: &str) -> usize {
        let lower = name.to_lowercase();
        name = &lower;
        yielding().await;
        name.len()
    }
    #[instrument("reassigned-pattern")]
    fn pattern((mut a, b): (&str, u8), [mut c, _]: [&str; 2]) -> usize {
        let local = "l".repeat(usize::from(b));
        a = &local;
        c = a;
        a.len() + c.len()
    }
    #[instrument("reassigned-in-a-vec")]
    async fn held(mut all: Vec<&str>) -> usize {
        let local = String::from("c");
        all.push(&local);
        yielding().await;
        all.len()
    }
    #[instrument(path = a)]
    fn label((mut a, _): (&str, u8)) -> usize {
        let local = String::from("ab");
        a = &local;
        a.len()
    }
    assert_eq!(now(later("abc")), 3);
    assert_eq!(pattern(("", 2), ["", ""]), 4);
    assert_eq!(now(held(vec!["a", "b"])), 3);
    assert_eq!(label(("reassigned-label", 0)), 2);
    for path in ["reassigned-later", "reassigned-pattern", "reassigned-in-a-vec", "reassigned-label"].iter() {
        assert_eq!(recorded(path), (1.0, 0.0), "{}", path);
    }
}

#[test]
fn closures_whose_arguments_only_the_return_type_gives() {
    #[instrument("closure-of-references")]
    fn hash_at(of: &[u64]) -> impl Fn(&usize) -> u64 + '_ {
        move |&i| of[i]
    }
    #[instrument("closure-returned-early")]
    fn early(of: &[u64]) -> impl FnMut(&usize) -> u64 + '_ {
        if of.is_empty() {
            panic!("empty");
        }
        return move |&i| of[i];
    }
    #[instrument("closure-of-generics")]
    fn generic<T: Clone>(extra: T) -> impl FnOnce(&T) -> (T, T) {
        move |value| (value.clone(), extra)
    }
    assert_eq!(hash_at(&[1, 2])(&1), 2);
    assert_eq!(early(&[1, 2])(&0), 1);
    assert_eq!(generic(1)(&2), (2, 1));
    assert!(catch_unwind(|| drop(early(&[]))).is_err());
    assert_eq!(recorded("closure-of-references"), (1.0, 0.0));
    assert_eq!(recorded("closure-returned-early"), (2.0, 1.0));
    assert_eq!(recorded("closure-of-generics"), (1.0, 0.0));
}

#[test]
fn closures_made_while_another_panic_unwinds() {
    #[instrument("closure-while-unwinding")]
    fn make(add: u32) -> impl Fn(&u32) -> u32 {
        move |value| value + add
    }
    struct OnDrop;
    impl Drop for OnDrop {
        fn drop(&mut self) {
            assert_eq!(make(1)(&1), 2);
        }
    }
    let unwound = catch_unwind(|| {
        let _made = OnDrop;
        panic!("unwinds");
    });
    assert!(unwound.is_err());
    assert_eq!(recorded("closure-while-unwinding"), (1.0, 0.0));
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

struct Holder<T> {
    made: Box<dyn FnMut() -> Boxed<T> + Send>,
}

impl<T> Holder<T> {
    #[instrument("boxed-of-a-generic")]
    fn call(&mut self) -> Pin<Box<dyn Future<Output = T> + Send>> {
        (self.made)()
    }

    /// The future is known to be `'static`, so the call is measured until the future completes.
    #[instrument("boxed-of-a-static-generic")]
    fn call_static(&mut self) -> Pin<Box<dyn Future<Output = T> + Send>>
    where
        T: 'static,
    {
        (self.made)()
    }
}

#[test]
fn boxed_futures_of_generics() {
    let mut holder = Holder { made: Box::new(|| Box::pin(async { 1 })) };
    let made = holder.call();
    assert_eq!(recorded("boxed-of-a-generic"), (1.0, 0.0));
    assert_eq!(now(made), 1);
    let made = holder.call_static();
    assert_eq!(recorded("boxed-of-a-static-generic"), (0.0, 0.0));
    assert_eq!(now(made), 1);
    assert_eq!(recorded("boxed-of-a-static-generic"), (1.0, 0.0));
}
