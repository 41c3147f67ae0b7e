// Package rp implements the relying party of one identity provider: the client side of OAuth
// 2.0 (RFC 6749) and OpenID Connect Core 1.0. It is independent of Gin, cookies, sessions and
// users.
//
// # How a sign-in works
//
// The caller creates a Request: a random State, Nonce and Verifier, stored so that only this
// browser can return them. [Client.AuthorizationURL] returns where to redirect the browser
// (authorize.go). The first call fetches the provider's metadata (metadata.go): one request
// for all callers, cached for a day, and used beyond that during an outage. The Fingerprint
// that it returns belongs to the Request.
//
// The browser returns with a response. [CheckParams] rejects ambiguous parameters; the caller
// compares the state; and [Client.CheckResponse] checks that the response is from this
// provider (RFC 9207) and has a code (response.go). Until then the only request to the
// provider is for its metadata.
//
// [Client.Redeem] performs the remaining steps (redeem.go):
//
//  1. The Fingerprint is still the same.
//  2. The code goes to the token endpoint, once. A token request is a grant
//     (codeGrant), client authentication (authenticate) and the request that
//     carries both (request, send): a refresh, a revocation or an introspection
//     differ only in the grant (token_request.go).
//  3. The token response is strict JSON and has the required members (token_response.go).
//  4. openJWT verifies the ID token as a JWT (jwt.go): its form, the algorithm, the
//     signature by one of the provider's keys (jwks.go), audience and times. go-oidc
//     verifies; openJWT adds the checks that go-oidc leaves to its caller.
//  5. checkIDToken checks that the ID token belongs to this sign-in (id_token.go): issuer,
//     azp, iat, nonce, at_hash, c_hash and s_hash, the requested max_age and acr_values, and
//     a subject that can identify a user.
//  6. Missing claims come from the userinfo endpoint, whose sub must be the same. Plain
//     OAuth 2.0 has only the profile (userinfo.go).
//
// The result is an Identity: verified claims under the provider's names. The caller interprets
// them.
//
// # The rest
//
// [Client.VerifyLogoutToken] opens logout tokens by step 4 (logout_token.go).
// [Client.EndSessionURL] returns where to sign out, while the provider responds (end_session.go).
// [Client.Diagnose] checks the endpoints that a sign-in uses and reports problems (diagnose.go).
//
// # Errors
//
// Every failure is an *Error with a Code, a stable ID, a reason and a fix, set where it is raised
// (errors.go). Checks return an Error made by fault (ID, Reason, Fix); Client.about fills in
// Code, Op and Provider. The provider's own description is in the cause, without the secrets that
// were sent (error_description.go).
package rp
