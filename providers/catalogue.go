package providers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ginauth/ginauth"
)

//go:generate go test -run ^TestDocumentation$ -update .

// preset is a provider's entry in the catalogue, which ByName, FromEnv, the tests and
// docs/providers.md use. Each preset is in the file of its provider.
type preset struct {
	name     string // Provider.Name; in capitals, the prefix of its environment variables
	function string // the function that returns the Provider
	make     func(clientID, clientSecret string, arg arguments) ginauth.Provider

	args     []argument // in addition to client id and secret, in the order of the function
	noSecret bool       // there is no client secret

	domains  []string // of its URLs, in addition to hosts that contain the name
	console  string   // where the application is registered
	register string   // what to set there, in addition to the redirect URI; Markdown
	user     string   // what the User has; Markdown
	quirks   []string // what else to know; Markdown

	refresh refreshTokens // see Offline
	api     apiTokens
}

// apiTokens is what a provider documents about access tokens for the application's API
// (ginauth.Provider.Audience). If how and never are empty, that is unknown.
type apiTokens struct {
	how   string // what to register, and how a client requests one; Markdown
	never string // why none can be used; Markdown
}

// argument is an argument of a preset other than client id and secret.
type argument struct {
	name     string // the name of the function's parameter
	env      string // the suffix of its environment variable: "_TENANT"
	about    string // what it is; Markdown
	example  string
	optional bool
	list     bool // several, separated by commas
	free     bool // any text is accepted; mistakes are reported elsewhere
}

// hint describes the argument, with its example if it has one.
func (a argument) hint() string {
	if a.example == "" {
		return a.about
	}
	return fmt.Sprintf("%s, as in %q", a.about, a.example)
}

type arguments map[string]string

// list returns the elements of an argument that is a list.
func (a arguments) list(name string) []string {
	return strings.FieldsFunc(a[name], func(r rune) bool { return r == ',' || r == ' ' })
}

// plain is make for a preset without arguments.
func plain(f func(clientID, clientSecret string) ginauth.Provider) func(string, string, arguments) ginauth.Provider {
	return func(clientID, clientSecret string, _ arguments) ginauth.Provider { return f(clientID, clientSecret) }
}

// catalogue lists all presets.
var catalogue = []preset{
	presetADFS,
	presetAmazon,
	presetApple,
	presetAsgardeo,
	presetAtlassian,
	presetAuth0,
	presetAuthentik,
	presetAzureADB2C,
	presetBattleNet,
	presetBitbucket,
	presetBox,
	presetCodeberg,
	presetCognito,
	presetCoinbase,
	presetDescope,
	presetDigitalOcean,
	presetDiscord,
	presetDropbox,
	presetDuende,
	presetFacebook,
	presetFeishu,
	presetFigma,
	presetForgejo,
	presetFusionAuth,
	presetGitea,
	presetGitHub,
	presetGitHubEnterprise,
	presetGitLab,
	presetGitLabSelfManaged,
	presetGoogle,
	presetGoogleWorkspace,
	presetHeroku,
	presetHubSpot,
	presetHuggingFace,
	presetInstagram,
	presetKakao,
	presetKakaoOAuth,
	presetKeycloak,
	presetKick,
	presetKinde,
	presetLark,
	presetLINE,
	presetLinear,
	presetLinkedIn,
	presetLogto,
	presetMailchimp,
	presetMailRu,
	presetMastodon,
	presetMicrosoft,
	presetNaver,
	presetNaverOIDC,
	presetNextcloud,
	presetNotion,
	presetOIDC,
	presetOkta,
	presetOneLogin,
	presetORCID,
	presetOryHydra,
	presetPatreon,
	presetPayPal,
	presetPayPalSandbox,
	presetPingFederate,
	presetPingOne,
	presetPinterest,
	presetReddit,
	presetRoblox,
	presetSalesforce,
	presetShopify,
	presetSlack,
	presetSlackWorkspace,
	presetSpotify,
	presetStackOverflow,
	presetStrava,
	presetTikTok,
	presetTwitch,
	presetVercel,
	presetVK,
	presetWebex,
	presetWeChat,
	presetWeChatOfficialAccount,
	presetWorkOS,
	presetX,
	presetYahoo,
	presetYandex,
	presetZitadel,
	presetZoom,
}

func find(name string) (preset, bool) {
	i := slices.IndexFunc(catalogue, func(p preset) bool { return p.name == name })
	if i < 0 {
		return preset{}, false
	}
	return catalogue[i], true
}

// ByName returns the preset of that name, for applications that read their providers from a
// file. docs/providers.md lists the names, and the args of presets that need more than client
// id and secret (a tenant, a domain):
//
//	providers.ByName("github", id, secret)
//	providers.ByName("keycloak", id, secret, "login.example.com", "staff")
//
// Separate the elements of a list by commas. Unknown names and a wrong number of args are
// errors; malformed args are reported by [ginauth.Mount], with other mistakes.
func ByName(name, clientID, clientSecret string, args ...string) (ginauth.Provider, error) {
	p, ok := find(name)
	if !ok {
		return ginauth.Provider{}, wrong("providers.by_name.preset_unknown", "providers.ByName", fmt.Sprintf("%.40q is not a preset", name),
			"use one of "+strings.Join(names(), ", ")+`; use "oidc" with the issuer for any other OpenID provider`)
	}
	if len(args) > len(p.args) {
		return ginauth.Provider{}, wrong("providers.by_name.too_many_arguments", "providers.ByName", fmt.Sprintf("%s takes %d arguments after client ID and secret, not %d", name, len(p.args), len(args)), "see docs/providers.md for the arguments")
	}
	given := arguments{}
	for i, a := range p.args {
		if i < len(args) {
			given[a.name] = args[i]
		}
		if given[a.name] == "" && !a.optional {
			return ginauth.Provider{}, wrong("providers.by_name.argument_missing", "providers.ByName", fmt.Sprintf("%s needs the argument %s", name, a.name), "pass it after the client secret: "+a.hint())
		}
	}
	if p.noSecret && clientSecret != "" {
		return ginauth.Provider{}, wrong("providers.by_name.client_secret_unused", "providers.ByName", name+" takes no client secret", `pass "": this provider uses arguments instead`)
	}
	return p.make(clientID, clientSecret, given), nil
}

// names returns the names of all presets, sorted.
func names() []string {
	var list []string
	for _, p := range catalogue {
		list = append(list, p.name)
	}
	slices.Sort(list)
	return list
}

func wrong(id, op, reason, fix string) *ginauth.Error {
	return &ginauth.Error{Code: ginauth.ErrInvalidOptions, ID: id, Op: op, Reason: reason, Fix: fix}
}
