package providers_test

import (
	"testing"

	"github.com/ginauth/ginauth"
)

func TestVKRefusals(t *testing.T) {
	s := newStandIn(t, "vk")
	s.answers["token.json"] = []byte(`{"error":"invalid_grant","error_description":"device_id is invalid"}`) // under status 200
	s.app(s.provider()).refuses(ginauth.ErrCodeRejected, "token.invalid_grant", `\"invalid_grant\"`)
	s = newStandIn(t, "vk")
	s.answers["user.json"] = []byte(`{"error":"invalid_token","error_description":"access token is invalid"}`) // under status 200
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
}

// The number of the token answer is not the profile's.
func TestVKSubjectIsTheProfiles(t *testing.T) {
	s := newStandIn(t, "vk")
	s.replace("user.json", `"user_id": "1234567890"`, `"user_id": 0`)
	s.app(s.provider()).refuses(ginauth.ErrIdentityRejected, "claims.sub")
}
