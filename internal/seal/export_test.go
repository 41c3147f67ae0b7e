package seal

// Decode is lent to the tests.
var Decode = decode
