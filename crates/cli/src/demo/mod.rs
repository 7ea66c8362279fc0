mod cast;
mod dice;
mod kupang;
mod script;
mod year;
