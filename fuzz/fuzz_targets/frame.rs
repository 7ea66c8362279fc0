#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| satgas_fuzz::run("frame", bytes));
