package ginauth_test

import ()

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><title>Corp</title><g fill="#fff"><path d="M0 0h24v24z"/><circle cx="12" cy="12" r="4"></circle></g></svg>`
