package ginauth_test

func faultsM() []fault {
	return []fault{}
}
