//! A plugin that is loaded at run time. It contains a second copy of the library, with a registry that only it uses.

use std::ffi::CString;

use metrics_core::Registry;

/// Panics unless the library in the first argument exports its own metrics, and leaves this program's alone.
#[expect(unsafe_code, reason = "only the loader knows the address of the symbol")]
pub(crate) fn check() {
    let path = CString::new(std::env::args().nth(1).expect("the path of the plugin")).expect("no zero bytes");
    let before = Registry::global().to_text();
    // SAFETY: the plugin's initializers have no requirements, and the strings end with a zero byte.
    let symbol = unsafe {
        let plugin = libc::dlopen(path.as_ptr(), libc::RTLD_NOW);
        assert!(!plugin.is_null(), "{path:?} could not be loaded");
        libc::dlsym(plugin, c"platform_plugin_check".as_ptr())
    };
    assert!(!symbol.is_null(), "{path:?} has no entry point");
    // SAFETY: the plugin defines the symbol as a function of this type, and is never unloaded.
    let check = unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn()>(symbol) };
    check();
    assert_eq!(Registry::global().to_text(), before, "the plugin changed the program's metrics");
}
