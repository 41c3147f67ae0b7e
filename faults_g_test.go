package ginauth_test

func faultsG() []fault {
	return []fault{}
}
