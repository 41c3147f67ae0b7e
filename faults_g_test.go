package ginauth_test

import ()

const askPage = "Accept: text/html\r\nConnection: close\r\n\r\n"
