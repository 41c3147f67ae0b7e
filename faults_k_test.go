package ginauth_test

func faultsK() []fault {
	return []fault{}
}
