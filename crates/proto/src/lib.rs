//! The vocabulary of satgas, generated from proto/.
