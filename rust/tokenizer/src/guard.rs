//! Panics become errors: no panic may cross the C ABI, and one text's panic must not disturb its neighbours.

use std::cell::{Cell, RefCell};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps a guarded panic's message and place (which the payload alone does not give) and prints nothing for it; other
/// panics go to the hook that was there before.
fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if DEPTH.try_with(Cell::get).unwrap_or(0) == 0 {
                return previous(info);
            }
            let text = info.to_string().replace('\n', " ");
            let _ = MESSAGE.try_with(|message| *message.borrow_mut() = Some(text));
        }));
    });
}

/// Runs `work`; Err holds the panic's message.
pub fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    DEPTH.with(|depth| depth.set(depth.get() + 1));
    // What `work` borrows is either read-only (the tokenizer) or dropped by the unwinding.
    let outcome = catch_unwind(AssertUnwindSafe(work));
    DEPTH.with(|depth| depth.set(depth.get() - 1));
    outcome.map_err(|payload| {
        // A payload's own destructor may panic as well.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(payload)));
        MESSAGE.with(|message| message.borrow_mut().take()).unwrap_or_else(|| "panicked".into())
    })
}
