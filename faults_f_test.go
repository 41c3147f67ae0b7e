package ginauth_test

func faultsF() []fault {
	return []fault{}
}
