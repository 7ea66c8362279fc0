//! Work that may wait for the disk.

use tokio::runtime::Handle;

/// Runs it on the runtime's threads for such work; `None` when it panicked or the runtime is stopping. Where there is no runtime, nobody else
/// waits behind it: it runs here.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match Handle::try_current() {
        Ok(runtime) => runtime.spawn_blocking(work).await.ok(),
        Err(_) => Some(work()),
    }
}
