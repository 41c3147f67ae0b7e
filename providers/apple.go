package providers

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/ginauth/ginauth"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// Apple configures "Sign in with Apple". clientID is the identifier of a Services ID, teamID
// the team's, and keyID and privateKey those of a key for Sign in with Apple: the text of the
// .p8 file. The client secret is signed for each sign-in, so there is none to renew.
//
// User.Subject identifies the user within your team's applications. The e-mail address is
// verified; it may be a relay address at privaterelay.appleid.com, which forwards only mail of
// senders that are registered with Apple (claim is_private_email). The name is sent only at
// the first sign-in, unsigned: store it in OnLogin.
func Apple(teamID, keyID, privateKey, clientID string) ginauth.Provider {
	key, err := appleKey(privateKey)
	return ginauth.Provider{
		Name: "apple", Preset: "apple", DisplayName: "Apple", Color: "#000000",
		ClientID: clientID,
		Err:      errors.Join(segment("teamID", teamID), segment("keyID", keyID), err),

		// https://appleid.apple.com/.well-known/openid-configuration
		Issuer: "https://appleid.apple.com",

		// The only one in the metadata.
		IDTokenAlg: "RS256",

		// https://developer.apple.com/documentation/accountorganizationaldatasharing/creating-a-client-secret
		AuthMethod: "client_secret_post",
		ClientSecretFunc: func(context.Context) (string, error) {
			return appleSecret(key, teamID, keyID, clientID, time.Now())
		},

		// With a scope, Apple responds only by form_post.
		// https://developer.apple.com/documentation/signinwithapple/request-an-authorization-to-the-sign-in-with-apple-server
		Scopes:       []string{"openid", "name", "email"},
		ResponseMode: "form_post",

		// There is no userinfo endpoint.
		Userinfo: "never",

		// A boolean, or the text of one.
		// https://developer.apple.com/documentation/signinwithapple/authenticating-users-with-sign-in-with-apple
		EmailVerified: func(claims map[string]any) bool {
			return claims["email_verified"] == true || claims["email_verified"] == "true"
		},
		NameFromCallback: appleName,
	}
}

// appleKey reads a .p8 file. Environment files often have \n for its line breaks.
func appleKey(text string) (*ecdsa.PrivateKey, error) {
	const name, fix = "privateKey", "use the complete .p8 file, from -----BEGIN PRIVATE KEY----- to the end"
	if text == "" {
		return nil, wrongArgument(name, "empty", "is empty (is the environment variable set?)", fix)
	}
	block, _ := pem.Decode([]byte(strings.ReplaceAll(text, `\n`, "\n")))
	if block == nil {
		return nil, wrongArgument(name, "not_pem", "is not in PEM format", fix)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || key.Curve != elliptic.P256() {
		return nil, wrongArgument(name, "not_p256", "is not a P-256 key in PKCS #8", fix)
	}
	return key, nil
}

// appleSecret signs the JWT that Apple accepts as a client secret. It may be valid for six
// months; five minutes limit the damage if it is stolen.
func appleSecret(key *ecdsa.PrivateKey, teamID, keyID, clientID string, now time.Time) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return "", err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": teamID, "sub": clientID, "aud": "https://appleid.apple.com", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// appleName reads the name from the field user. The address in that field is ignored: it is
// unsigned, and the ID token has the verified one.
func appleName(callback url.Values) string {
	user, err := strictjson.Object(callback.Get("user"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(textAt(user, "name.firstName") + " " + textAt(user, "name.lastName"))
}

var presetApple = preset{
	name: "apple", function: "Apple", noSecret: true,
	make: func(clientID, _ string, arg arguments) ginauth.Provider {
		return Apple(arg["teamID"], arg["keyID"], arg["privateKey"], clientID)
	},
	args: []argument{
		{name: "teamID", env: "_TEAM_ID", example: "A1B2C3D4E5", about: "the team's identifier, at the top right of the console"},
		{name: "keyID", env: "_KEY_ID", example: "K1L2M3N4P5", about: "the key's identifier"},
		{name: "privateKey", env: "_PRIVATE_KEY", free: true, about: "the text of the key's .p8 file; line breaks may be written as `\\n`"},
	},
	console:  "https://developer.apple.com/account/resources/identifiers/list/serviceId",
	register: "An App ID with *Sign in with Apple*, a *Services ID* for it, whose identifier is the client id, with the domain and the redirect URI (only https on a public host), and a key with *Sign in with Apple*.",
	user:     "An ID for this user in your team's applications, a verified e-mail address, and, at the first sign-in only, the name.",
	quirks: []string{
		"The response is a form post (`form_post`); no setting is needed.",
		"Apple sends the name only once, unsigned: store it in `OnLogin`. To receive it again, the user must first revoke your application in the Apple account.",
		"An address at `privaterelay.appleid.com` forwards mail from registered senders only.",
	},

	// https://developer.apple.com/documentation/signinwithapplerestapi/generate-and-validate-tokens
	refresh: refreshTokens{
		always: true,
		about:  "It does not rotate. Apple asks for at most one refresh a day. Revocation: in the metadata.",
	},
}
