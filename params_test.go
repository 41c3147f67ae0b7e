package ginauth_test

import ()

// formType is what a page's form says that it is.
const formType = "application/x-www-form-urlencoded"
