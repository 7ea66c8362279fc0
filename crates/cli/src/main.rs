//! The one binary: see `satgas_cli`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let _ = satgas_cli::VERSION;
}
