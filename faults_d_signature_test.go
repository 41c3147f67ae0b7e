package ginauth_test

import ()

const (
	wrongAlg    = "the token is signed with algorithm"
	wrongForm   = "the token is not in JWS compact serialization"
	wrongSig    = "the signature is wrong"
	noKey       = "the provider publishes no key for it"
	oddHeader   = "the token's header"
	oddClaims   = "the claims are not strict JSON"
	doubtClaims = "the claims are ambiguous"
)
