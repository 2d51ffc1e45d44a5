from cis_provider.node.main import main

main()
