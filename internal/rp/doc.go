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
//     differ in the grant alone (token_request.go).
//  3. The token response is strict JSON and has what it must (token_response.go).
//  4. openJWT verifies the ID token as a JWT (jwt.go): its form, the algorithm, the
//     signature by one of the provider's keys (jwks.go), audience and times. go-oidc
//     verifies; what it leaves to its caller is checked around it.
//  5. checkIDToken makes the checks of an ID token of this very sign-in
//     (id_token.go): issuer, azp, iat, nonce, at_hash and its kin, what max_age and acr_values
//     asked for, and a subject that can identify a person.
//  6. Claims that are missing come from the userinfo endpoint, whose sub must be
//     the same; for plain OAuth 2.0 the profile is all there is (userinfo.go).
//
// The result is an Identity: verified claims under the provider's names. The caller interprets
// them.
//
// # The rest
//
// [Client.VerifyLogoutToken] opens logout tokens by step 4 (logout_token.go).
// [Client.EndSessionURL] says where to sign out, while the provider answers (end_session.go).
// [Client.Diagnose] makes the same requests as a sign-in does and reports what is
// wrong (diagnose.go).
//
// # Errors
//
// Every failure is an *Error with a Code, a stable ID of the reason, and what to do
// about it, set where it is raised (errors.go). Checks return an Error made by fault
// (ID, Reason, Fix); Client.about fills in Code, Op and Provider. What the provider
// says in its own words is in the cause, without what was sent in secret (error_description.go).
package rp
