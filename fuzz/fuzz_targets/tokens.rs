#![no_main]
libfuzzer_sys::fuzz_target!(init: satgas_fuzz::seeds::write("tokens"), |bytes: &[u8]| satgas_fuzz::run("tokens", bytes));
